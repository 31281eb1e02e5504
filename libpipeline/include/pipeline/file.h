/*
 * file: a whole small file at once.
 */
#ifndef PIPELINE_FILE_H
#define PIPELINE_FILE_H

#include "pipeline/buf.h"

/* Adds all of it to out. PL_ESYS with errno, PL_ELIMIT above out's ceiling. */
PL_MUST_CHECK enum pl_err pl_file_read(const char *path, struct pl_buf *out);

#endif
