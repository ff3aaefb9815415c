/* SPDX-License-Identifier: MIT */
/* A double of the NVML library: one card at 0000:01:00.0. */
#include <stdio.h>
#include <string.h>

int nvmlInit_v2(void);
int nvmlShutdown(void);
int nvmlDeviceGetHandleByPciBusId_v2(const char *pci, void **ret);
int nvmlSystemGetDriverVersion(char *buf, unsigned int size);
int nvmlDeviceGetMemoryInfo(void *d, unsigned long long *ret);
int nvmlDeviceGetTemperature(void *d, int sensor, unsigned int *ret);
int nvmlDeviceGetUtilizationRates(void *d, unsigned int *ret);

static int card;

int nvmlInit_v2(void)
{
	return 0;
}

int nvmlShutdown(void)
{
	return 0;
}

int nvmlDeviceGetHandleByPciBusId_v2(const char *pci, void **ret)
{
	*ret = &card;
	return strcmp(pci, "0000:01:00.0") == 0 ? 0 : 6;
}

int nvmlSystemGetDriverVersion(char *buf, unsigned int size)
{
	snprintf(buf, size, "580.95.05");
	return 0;
}

int nvmlDeviceGetMemoryInfo(void *d, unsigned long long *ret)
{
	ret[0] = 1ULL << 30;
	ret[1] = 700ULL << 20;
	ret[2] = ret[0] - ret[1];
	return d == &card ? 0 : 1;
}

int nvmlDeviceGetTemperature(void *d, int sensor, unsigned int *ret)
{
	*ret = 61;
	return d == &card && sensor == 0 ? 0 : 1;
}

/* No nvmlDeviceGetPowerUsage: an old library. */

int nvmlDeviceGetUtilizationRates(void *d, unsigned int *ret)
{
	(void)d;
	(void)ret;
	/* A card that does not tell: NVML_ERROR_NOT_SUPPORTED. */
	return 3;
}
