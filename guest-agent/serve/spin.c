/* SPDX-License-Identifier: MIT */
/* Decides how long the serving thread spins before it sleeps. */
#include "guest-agent/serve/spin.h"

#include "transport/base/util.h"

/* Spins in vain before the window halves. */
#define IN_VAIN 4U
/* The floor, as a part of the maximum. */
#define FLOOR 16U
/* A sleep up to so many windows long was a loss: a wake-up costs about one
 * window of the default length, and half of it comes after the work did. */
#define SHORT_SLEEP 2U
/* Tries in a row. One or two also succeed when the pauses of a client on
 * another CPU are now longer, now shorter than the window. */
#define TRIES 3U
/* The number of failed spins between two tries. */
#define SKIP 16U
/* After this time the client or this thread may be on another CPU. */
#define REST_NS (100 * PST_NS_PER_MS)

/* Beside a device: a sleep of less is not worth its wake-up; the thread is
 * awake so long before the end, and looks for so long after it; a slice is this
 * part of the whole, and at least so long. */
#define DEVICE_SLEEP_NS (300 * PST_NS_PER_US)
#define DEVICE_EARLY_NS (150 * PST_NS_PER_US)
#define DEVICE_LATE_NS  PST_NS_PER_MS
#define DEVICE_SLICE    50U
#define DEVICE_LEAST_NS (50 * PST_NS_PER_US)

uint64_t pst_agent_spin_device(uint64_t now_ns, uint64_t begun_ns,
			       uint64_t due_ns)
{
	const uint64_t end_ns = due_ns > now_ns ? due_ns : now_ns;
	uint64_t slice = (end_ns - begun_ns) / DEVICE_SLICE;

	if (slice < DEVICE_LEAST_NS)
		slice = DEVICE_LEAST_NS;
	if (due_ns > now_ns && due_ns - now_ns > DEVICE_SLEEP_NS)
		return pst_min_u64(due_ns - now_ns - DEVICE_EARLY_NS, slice);
	return end_ns - due_ns < DEVICE_LATE_NS ? 0 : slice;
}

void pst_agent_spin_init(struct pst_agent_spin *s, uint64_t max_ns)
{
	*s = (struct pst_agent_spin){.max_ns = max_ns, .now_ns = max_ns};
}

void pst_agent_spin_moved(struct pst_agent_spin *s)
{
	pst_agent_spin_init(s, s->max_ns);
}

void pst_agent_spin_found(struct pst_agent_spin *s)
{
	s->in_vain = 0;
	s->hindered = 0;
}

/* What a sleep without a spin before it tells. */
static bool end_try(struct pst_agent_spin *s, uint64_t now_ns,
		    uint64_t slept_ns, bool woken)
{
	const bool hinders = woken && slept_ns < s->tried_ns;

	s->now_ns = s->tried_ns;
	s->tried_ns = 0;
	if (!hinders) {
		s->hindered = 0;
		s->skip = SKIP;
		return false;
	}
	if (++s->hindered < TRIES)
		return false;
	s->rest_until_ns = now_ns + REST_NS;
	s->now_ns = 0;
	return true;
}

/* One spin and one try more decide whether to go on resting. */
static void end_rest(struct pst_agent_spin *s)
{
	s->rest_until_ns = 0;
	s->now_ns = s->max_ns;
	s->hindered = TRIES - 1;
}

bool pst_agent_spin_slept(struct pst_agent_spin *s, uint64_t now_ns,
			  uint64_t slept_ns, bool woken)
{
	if (!s->max_ns)
		return false;
	if (s->rest_until_ns) {
		if (now_ns >= s->rest_until_ns)
			end_rest(s);
		return false;
	}
	if (s->tried_ns)
		return end_try(s, now_ns, slept_ns, woken);
	if (woken && slept_ns / SHORT_SLEEP <= s->max_ns) {
		s->now_ns = s->max_ns;
		s->in_vain = 0;
		if (s->skip) {
			s->skip--;
			return false;
		}
		s->tried_ns = s->now_ns;
		s->now_ns = 0;
		return false;
	}
	if (++s->in_vain < IN_VAIN)
		return false;
	s->in_vain = 0;
	s->now_ns /= 2;
	if (s->now_ns < s->max_ns / FLOOR)
		s->now_ns = s->max_ns / FLOOR;
	return false;
}
