/*
 * curl's codes as our faults, and the sentence for each. The sentences go to clients: none says
 * more about an address than its name already does.
 */
#include "http_private.h"

enum pl_fault http_fault_of(CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return PL_FAULT_NONE;
	case CURLE_COULDNT_CONNECT:
	case CURLE_INTERFACE_FAILED:
		return PL_FAULT_CONNECT;
	case CURLE_OPERATION_TIMEDOUT: /* of curl's own we set only the connect timeout */
		return PL_FAULT_TIMEOUT_CONNECT;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
		return PL_FAULT_TLS;
	case CURLE_PARTIAL_FILE:
	case CURLE_BAD_CONTENT_ENCODING:
		return PL_FAULT_TRUNCATED;
	case CURLE_OUT_OF_MEMORY: /* what curl says of a header line above its own ceiling */
		return PL_FAULT_TOO_LARGE;
	default: /* closed early, or something that is not HTTP. COULDNT_RESOLVE_HOST too: a reused
		  * connection broke after so long that curl had forgotten the pin. */
		return PL_FAULT_RESET;
	}
}

const char *http_fault_text(enum pl_fault fault)
{
	switch (fault) {
	case PL_FAULT_DNS:
		return "the name does not resolve";
	case PL_FAULT_CONNECT:
		return "no connection";
	case PL_FAULT_TLS:
		return "no TLS connection";
	case PL_FAULT_TIMEOUT_CONNECT:
		return "no connection in time";
	case PL_FAULT_TIMEOUT_IDLE:
		return "no byte for too long";
	case PL_FAULT_TIMEOUT_TOTAL:
		return "not finished in time";
	case PL_FAULT_RESET:
		return "the connection broke or what came was not HTTP";
	case PL_FAULT_TOO_LARGE:
		return "the answer is too large";
	case PL_FAULT_TRUNCATED:
		return "the answer ended early or its coding is broken";
	case PL_FAULT_ADDRESS_BLOCKED:
		return "the address is not allowed";
	case PL_FAULT_CANCELLED:
		return "cancelled";
	default:
		return pl_fault_name(fault);
	}
}
