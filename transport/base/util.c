/* SPDX-License-Identifier: MIT */
/* Parsing of sizes, durations, numbers and UUIDs; random bytes; small files. */
#include "transport/base/util.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>

int pst_parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (!*s)
		return -EINVAL;
	for (; *s; s++) {
		if (*s < '0' || *s > '9' || pst_mul_overflow(v, 10, &v) ||
		    pst_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return -EINVAL;
	}
	if (v < min || v > max)
		return -EINVAL;
	*ret = v;
	return 0;
}

/* Splits "12abc" into 12 and "abc"; the number has at least one digit. */
static int split_number(const char *s, uint64_t *ret, const char **ret_unit)
{
	char digits[21];
	size_t n = strspn(s, "0123456789");

	if (n == 0 || n >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, s, n);
	digits[n] = '\0';
	*ret_unit = s + n;
	return pst_parse_u64(digits, 0, UINT64_MAX, ret);
}

int pst_parse_size(const char *s, uint64_t *ret)
{
	static const char units[] = "KMGT";
	const char *unit, *u;
	unsigned int shift = 0;
	uint64_t v;

	if (split_number(s, &v, &unit) < 0)
		return -EINVAL;
	if (*unit) {
		u = strchr(units, toupper((unsigned char)*unit));
		if (u) {
			shift = 10 * (unsigned int)(u - units + 1);
			unit++;
			if (*unit == 'i')
				unit++;
		}
		if (*unit == 'B')
			unit++;
		if (*unit)
			return -EINVAL;
	}
	if (pst_mul_overflow(v, 1ULL << shift, &v) || v > INT64_MAX)
		return -EINVAL;
	*ret = v;
	return 0;
}

int pst_parse_duration(const char *s, uint64_t *ret_ns)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {
		{"ns", 1},
		{"us", PST_NS_PER_US},
		{"ms", PST_NS_PER_MS},
		{"s", PST_NS_PER_S},
		{"m", 60 * PST_NS_PER_S},
	};
	const char *unit;
	uint64_t v;
	size_t i;

	if (split_number(s, &v, &unit) < 0)
		return -EINVAL;
	if (!*unit && v == 0) {
		*ret_ns = 0;
		return 0;
	}
	for (i = 0; i < PST_ARRAY_SIZE(units); i++) {
		if (strcmp(unit, units[i].name) != 0)
			continue;
		if (pst_mul_overflow(v, units[i].ns, &v))
			return -EINVAL;
		*ret_ns = v;
		return 0;
	}
	return -EINVAL;
}

int pst_random(void *buf, size_t n)
{
	uint8_t *p = buf;
	ssize_t got;

	while (n > 0) {
		got = getrandom(p, n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -EIO;
		p += got;
		n -= (size_t)got;
	}
	return 0;
}

void pst_uuid_format(const uint8_t uuid[16], char ret[37])
{
	static const char hex[] = "0123456789abcdef";
	unsigned int i;
	char *p = ret;

	for (i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = hex[uuid[i] >> 4];
		*p++ = hex[uuid[i] & 15];
	}
	*p = '\0';
}

int pst_uuid_parse(const char *s, uint8_t ret[16])
{
	uint8_t uuid[16] = {0};
	unsigned int n = 0;
	int digit;

	for (; *s; s++) {
		if (*s == '-')
			continue;
		if (n == 32 || !isxdigit((unsigned char)*s))
			return -EINVAL;
		digit = *s <= '9' ? *s - '0' : (*s | 0x20) - 'a' + 10;
		uuid[n / 2] = (uint8_t)(uuid[n / 2] << 4 | digit);
		n++;
	}
	if (n != 32)
		return -EINVAL;
	memcpy(ret, uuid, sizeof(uuid));
	return 0;
}

int pst_read_text(const char *path, char *buf, size_t size)
{
	PST_CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	ssize_t got;

	if (fd < 0)
		return -errno;
	while (n < size) {
		got = read(fd, buf + n, size - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		n += (size_t)got;
	}
	if (n == size)
		return -EMSGSIZE;
	while (n > 0 && buf[n - 1] == '\n')
		n--;
	buf[n] = '\0';
	return (int)n;
}
