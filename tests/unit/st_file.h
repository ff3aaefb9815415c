/* SPDX-License-Identifier: MIT */
/* Small safetensors files put together in memory. */
#ifndef PST_TESTS_UNIT_ST_FILE_H
#define PST_TESTS_UNIT_ST_FILE_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The 8 bytes of length and the JSON behind them; returns their number. */
static inline size_t st_header(uint8_t *buf, const char *json)
{
	const uint64_t n = strlen(json);

	memcpy(buf, &n, sizeof(n));
	memcpy(buf + sizeof(n), json, n);
	return sizeof(n) + n;
}

/* A header with a list of layers, as JSON, and tensors, as JSON members. */
static inline size_t st_model(uint8_t *buf, size_t size, const char *layers,
			      const char *tensors)
{
	static char json[1 << 20];
	size_t n =
		(size_t)snprintf(json, sizeof(json),
				 "{\"__metadata__\":{\"penstock.layers\":\"");

	for (; *layers && n + 3 < sizeof(json); layers++) {
		if (*layers == '"' || *layers == '\\')
			json[n++] = '\\';
		json[n++] = *layers;
	}
	snprintf(json + n, sizeof(json) - n, "\"}%s%s}", *tensors ? "," : "",
		 tensors);
	return strlen(json) + 8 <= size ? st_header(buf, json) : 0;
}

#endif
