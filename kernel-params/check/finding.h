/* SPDX-License-Identifier: MIT */
/* Findings of a check: what was seen, why it matters, what to do. */
#ifndef PST_KERNEL_PARAMS_CHECK_FINDING_H
#define PST_KERNEL_PARAMS_CHECK_FINDING_H

#include <stdbool.h>
#include <stddef.h>

enum pst_host_finding_status {
	PST_HOST_PASS,
	PST_HOST_WARN, /* works, or could not be told */
	PST_HOST_FAIL, /* a guest with the card would not come up, or not as
			  asked */
};

/* All texts are printable ASCII, without newlines. */
struct pst_host_finding {
	const char *id; /* "iommu.enabled", never changes its meaning */
	enum pst_host_finding_status status;
	char *seen;
	const char *why; /* static */
	char *fix;       /* "" where nothing has to be done */
};

/* More than there are checks. */
#define PST_HOST_FINDINGS_MAX 64

struct pst_host_findings {
	struct pst_host_finding f[PST_HOST_FINDINGS_MAX];
	size_t n;
	bool no_memory;  /* one was lost: no result may be claimed */
	const char *id;  /* of the check that runs */
	const char *why; /* of that check */
};

/*
 * Adds a finding of the check that runs; bytes that are not printable ASCII
 * become '?'. fix may be NULL for none.
 */
void pst_host_finding_add(struct pst_host_findings *fs,
			  enum pst_host_finding_status status, const char *fix,
			  const char *seen_fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* How many have that status. */
size_t pst_host_findings_count(const struct pst_host_findings *fs,
			       enum pst_host_finding_status status);

void pst_host_findings_done(struct pst_host_findings *fs);

/* "PASS", "WARN", "FAIL". Static. */
const char *pst_host_finding_status_name(enum pst_host_finding_status s);

/* A text that grows by printf(), cut off (with "...") where it is full. */
struct pst_host_text {
	char buf[4096];
	size_t len;
};

void pst_host_text_add(struct pst_host_text *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
