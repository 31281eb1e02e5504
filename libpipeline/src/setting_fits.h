/*
 * setting_fits: texts that can be judged before anything is started. Each is a row's fits; *why is
 * the rest of a sentence behind the row's name, good until the thread's next call.
 */
#ifndef SETTING_FITS_H
#define SETTING_FITS_H

#include <stdbool.h>

/* "9.9.9.9,127.0.0.1:5353,[::1]:53": as c-ares reads it, which lets "1.1.1" and :99999 pass. */
bool setting_fits_name_servers(const char *text, const char **why);
/* A file that TLS can take certificate authorities from. */
bool setting_fits_authorities(const char *path, const char **why);

#endif
