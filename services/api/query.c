#include "query.h"

#include <string.h>

#define SHOWN_MAX 64 /* bytes of a name that is told back */

static bool is_named(const char *known, const char *name, size_t len)
{
	return strncmp(known, name, len) == 0 && known[len] == '\0';
}

/* The name that begins behind text and its '&', NULL at the end. */
static const char *next_name(const char *text)
{
	text += strcspn(text, "&");
	return *text == '&' ? text + 1 : NULL;
}

static bool comes_again(const char *name, size_t len)
{
	const char *other = name;
	while ((other = next_name(other)) != NULL)
		if (strcspn(other, "=&") == len && strncmp(other, name, len) == 0)
			return true;
	return false;
}

void query_check(const char *query, const char *const *known, struct pl_faults *faults)
{
	for (const char *name = query; name != NULL; name = next_name(name)) {
		size_t len = strcspn(name, "=&");
		const char *const *one = known;
		while (*one != NULL && !is_named(*one, name, len))
			one++;
		if (*one == NULL && len > 0)
			pl_faults_add(faults, "", "the query parameter \"%.*s\" is not known",
				len < SHOWN_MAX ? (int)len : SHOWN_MAX, name);
		else if (len > 0 && comes_again(name, len))
			pl_faults_add(faults, *one, "is given twice");
	}
}
