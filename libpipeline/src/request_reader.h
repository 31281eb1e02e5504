/*
 * request_reader: one JSON value after the other, each fault named where it stands.
 *
 * A call that finds its value faulty says so in reader->faults, under the pointer to that value,
 * and answers with "nothing": reading goes on, so that a client learns all at once.
 */
#ifndef REQUEST_READER_H
#define REQUEST_READER_H

#include "request_private.h"

/* A client's text, read. Numbers are real ones throughout, so that no integer is too big. */
struct document {
	json_t *value;
	const char *meta; /* the value of the outermost member "meta", as written; or NULL */
	size_t meta_len;
};

struct reader {
	const struct pl_request_rules *rules;
	const struct document *document;
	struct pl_request *request;
	struct pl_stage_options *stage; /* whose members are being read */
	struct pl_faults *faults;
	json_t *keeper; /* owns what the request borrows */
	bool blocked;   /* an address was refused */
	bool faulty;    /* something else was */
	char pointer[sizeof((struct pl_faults *)NULL)->list[0].pointer]; /* cut to its size */
	size_t pointer_len;
};

struct field {
	const char *name; /* NULL ends a table */
	void (*take)(struct reader *reader, json_t *value);
};

#define FAULT(reader, ...)                                                       \
	do {                                                                     \
		(reader)->faulty = true;                                         \
		pl_faults_add((reader)->faults, (reader)->pointer, __VA_ARGS__); \
	} while (0)

/* One step down, RFC 6901 escapes; reader_leave takes it back by what this gave. */
size_t reader_enter(struct reader *r, const char *name);
size_t reader_enter_index(struct reader *r, size_t index);
void reader_leave(struct reader *r, size_t before);

/* Each member by its field; what no field is for is a fault. */
void reader_fields(struct reader *r, json_t *object, const struct field *fields);
/* At most max bytes, no NUL; NULL after a fault. */
const char *reader_text(struct reader *r, const json_t *value, size_t max);
/* The same for indexes and tables: neither empty nor with control characters. */
const char *reader_word(struct reader *r, const json_t *value, size_t max);
/* Its place among the choices, or -1 after a fault: "must be <sentence>". */
int reader_choice(struct reader *r, const json_t *value, const char *const *choices, size_t count,
	const char *sentence);
/* From min to max; false after a fault. */
bool reader_duration(
	struct reader *r, const json_t *value, uint64_t min, uint64_t max, uint64_t *ms);
/* lane may be NULL. A refused address sets blocked and still gives the text. */
const char *reader_url(struct reader *r, const json_t *value, char lane[PL_LANE_MAX]);
/* The same for a text that ends where len says; false after a fault. */
bool reader_url_text(struct reader *r, const char *text, size_t len, char lane[PL_LANE_MAX]);

/* request_fields.c: the fields of a request, and what holds between them. */
extern const struct field request_fields[];
void request_check_members(struct reader *r, const json_t *object);
void request_require_urls(struct reader *r, const json_t *object);

/* request_usual.c: two URLs and nothing beside them, each written without an escape; they point
 * into json, in its order. False: any other text, be it a request or not. */
struct request_text {
	const char *bytes;
	size_t len;
};
struct request_url {
	struct request_text text;
	bool is_callback; /* else the provider */
};
bool request_is_usual(const char *json, size_t len, struct request_url urls[2]);

#endif
