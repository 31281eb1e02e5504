/*
 * err: the world's troubles as values, and our own as a stop.
 *
 * A call that can fail returns `enum pl_err`, PL_OK is 0, its outputs come last
 * and are untouched on failure. PL_ASSERT is for our own bugs and stays in release.
 */
#ifndef PIPELINE_ERR_H
#define PIPELINE_ERR_H

enum pl_err {
	PL_OK = 0,
	PL_EINVAL,    /* the input is not of its form */
	PL_ELIMIT,    /* a named ceiling was reached */
	PL_EBLOCKED,  /* the address policy refuses */
	PL_EREDIS,    /* Redis refused or is away: nothing happened, asking again is safe */
	PL_EUNKNOWN,  /* the connection died with the call under way: it may have happened */
	PL_ETIMEOUT,  /* a deadline passed */
	PL_ESTALE,    /* the lease is gone: what was held belongs to someone else */
	PL_ENOTFOUND, /* no such request */
	PL_ECONFLICT, /* the request's state forbids it */
	PL_ECLOSED,   /* the object is shutting down */
	PL_ESYS,      /* the system refused; errno says why */
};

#define PL_MUST_CHECK __attribute__((warn_unused_result))

/* A short lower-case name, for logs; never NULL. */
const char *pl_err_name(enum pl_err err);

/* Says where and what on stderr, then aborts. */
_Noreturn void pl_assert_failed(const char *what, const char *file, int line);
#define PL_ASSERT(what) ((what) ? (void)0 : pl_assert_failed(#what, __FILE__, __LINE__))

#endif
