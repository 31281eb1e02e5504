/*
 * no_gnutls: the services do not set GnuTLS up.
 *
 * Debian's libcurl links librtmp and OpenLDAP, and they bring GnuTLS along, whose constructor sets
 * it up in every process: 0.8 MB of memory for protocols that are never spoken here (http and https
 * alone, and TLS is OpenSSL's). GnuTLS asks this function first, as its manual says of
 * GNUTLS_SKIP_GLOBAL_INIT; where a libcurl comes without it, nobody does.
 */
int _gnutls_global_init_skip(void);

int _gnutls_global_init_skip(void)
{
	return 1;
}
