/* SPDX-License-Identifier: MIT */
/*
 * No lost wake-up: two clients and one agent, need_wake generations, bounded
 * sockets, and a store buffer for each side (x86 TSO: a store may pass a later
 * load). A lost wake-up is an invalid end state: somebody sleeps for ever.
 *
 * -DNO_FENCE leaves out the fences, -DNO_RESCAN the look between arming and
 * sleeping, -DONE_LANE the scan of the other lane: each must fail.
 */
#ifdef FULL
#define CALLS(i) (2 - (i)) /* client 0 makes two calls, client 1 one */
#else
#define CALLS(i) 1
#endif
#define N 2
#define ALL_TAKEN (taken[0] == CALLS(0) && taken[1] == CALLS(1))

byte sq[N];        /* entries published */
byte cq[N];        /* completions published */
byte agent_gen;    /* the agent's need_wake word */
byte client_gen[N];

/* Store buffers: the newest value each side wrote, not yet visible. */
byte b_sq[N], b_client_gen[N];
byte b_cq[N], b_agent_gen;

/* Sockets hold one frame: a full one counts as sent. */
chan to_agent[N] = [1] of { bit };
chan to_client[N] = [1] of { bit };

#ifdef NO_FENCE
#define FENCE(c) skip
#else
#define FENCE(c) (c)
#endif

#define SEND(ch) if :: nfull(ch) -> ch ! 1 :: full(ch) -> skip fi

/* Stores become visible at any time, in any order between words. */
active proctype memory()
{
end:	do
	:: atomic { sq[0] != b_sq[0] -> sq[0] = b_sq[0] }
	:: atomic { sq[1] != b_sq[1] -> sq[1] = b_sq[1] }
	:: atomic { cq[0] != b_cq[0] -> cq[0] = b_cq[0] }
	:: atomic { cq[1] != b_cq[1] -> cq[1] = b_cq[1] }
	:: atomic { agent_gen != b_agent_gen -> agent_gen = b_agent_gen }
	:: atomic { client_gen[0] != b_client_gen[0] -> client_gen[0] = b_client_gen[0] }
	:: atomic { client_gen[1] != b_client_gen[1] -> client_gen[1] = b_client_gen[1] }
	od
}

proctype client(byte i)
{
	byte n = 0, woken = 0, g;

	do
	:: n == CALLS(i) -> break
	:: n < CALLS(i) ->
		b_sq[i] = n + 1;
		FENCE(sq[i] == b_sq[i]);
		g = agent_gen;
		if
		:: (g % 2 == 1 && g != woken) -> woken = g; SEND(to_agent[i])
		:: else -> skip
		fi;
		/* Wait for the completion. */
		do
		:: cq[i] > n -> break
		:: cq[i] <= n ->
			b_client_gen[i] = b_client_gen[i] + 1;
			FENCE(client_gen[i] == b_client_gen[i]);
			if
#ifndef NO_RESCAN
			:: cq[i] > n -> skip
			:: cq[i] <= n -> to_client[i] ? 1
#else
			:: true -> to_client[i] ? 1
#endif
			fi;
			b_client_gen[i] = b_client_gen[i] + 1
		od;
		n = n + 1
	od
}

inline serve(i)
{
	if
	:: sq[i] > taken[i] ->
		taken[i] = taken[i] + 1;
		b_cq[i] = taken[i];
		FENCE(cq[i] == b_cq[i]);
		g = client_gen[i];
		if
		:: (g % 2 == 1 && g != woken[i]) -> woken[i] = g; SEND(to_client[i])
		:: else -> skip
		fi
	:: else -> skip
	fi
}

active proctype agent()
{
	byte taken[N], woken[N], g;

	do
	:: ALL_TAKEN -> break
	:: else ->
		serve(0);
		serve(1);
		if
		:: ALL_TAKEN -> break
		:: else -> skip
		fi;
		b_agent_gen = b_agent_gen + 1;
		FENCE(agent_gen == b_agent_gen);
		if
#if defined(NO_RESCAN)
		:: true ->
#elif defined(ONE_LANE)
		:: sq[0] > taken[0] -> skip
		:: else ->
#else
		:: sq[0] > taken[0] || sq[1] > taken[1] -> skip
		:: else ->
#endif
			if
			:: to_agent[0] ? 1
			:: to_agent[1] ? 1
			fi
		fi;
		b_agent_gen = b_agent_gen + 1
	od
}

init
{
	atomic { run client(0); run client(1) }
}
