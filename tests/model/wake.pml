/* SPDX-License-Identifier: MIT */
/*
 * No lost wake-up: two clients and one agent, need_wake generations, bounded
 * sockets, and a store buffer for each side (x86 TSO: a store may pass a later
 * load). A lost wake-up is an invalid end state: somebody sleeps for ever.
 *
 * Fences are put off. A client whose other entries are outstanding only glances
 * at the agent's word, and owes the fenced look: it pays before it sleeps, or
 * the watcher's tick pays for one that makes no further call. The agent owes
 * one to the clients of a burst, and pays before it arms. Who is seen to sleep
 * without a fence gets a WAKE behind one, and nothing more is owed.
 *
 * Each of these must fail: -DNO_FENCE leaves out the fences, -DNO_RESCAN the
 * look between arming and sleeping, -DONE_LANE the scan of the other lane,
 * -DNO_DEBT_CLIENT what the client owes when it sleeps, -DNO_TICK the tick,
 * -DNO_DEBT_AGENT what the agent owes.
 */
#if defined(FULL)
#define CALLS(i) (2 - (i)) /* client 0 makes two calls, client 1 one */
#elif defined(ALONE)
#define CALLS(i) (2 - 2 * (i)) /* two, and none */
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

/* Wakes the agent if it is seen to sleep. */
inline wake_agent(i)
{
	g = agent_gen;
	if
	:: (g % 2 == 1 && g != woken) ->
		woken = g;
		FENCE(sq[i] == b_sq[i]);
		SEND(to_agent[i]);
		owes = false
	:: else -> skip
	fi
}

/* The fenced look that was put off. */
inline pay_agent(i)
{
	if
	:: owes -> FENCE(sq[i] == b_sq[i]); wake_agent(i); owes = false
	:: else -> skip
	fi
}

inline submit(i)
{
	n = n + 1;
	b_sq[i] = n;
	if
	:: n - done == 1 -> FENCE(sq[i] == b_sq[i]); wake_agent(i)
	:: else -> owes = true; wake_agent(i)
	fi
}

/* Sleeps unless a completion is there. */
inline sleep(i)
{
#ifndef NO_DEBT_CLIENT
	pay_agent(i);
#endif
	b_client_gen[i] = b_client_gen[i] + 1;
	FENCE(client_gen[i] == b_client_gen[i]);
	if
#ifndef NO_RESCAN
	:: cq[i] > done -> skip
	:: cq[i] <= done -> to_client[i] ? 1
#else
	:: true -> to_client[i] ? 1
#endif
	fi;
	b_client_gen[i] = b_client_gen[i] + 1
}

proctype client(byte i)
{
	byte n = 0, done = 0, woken = 0, g;
	bit owes = false;

	do
	:: n < CALLS(i) -> submit(i)
	:: done < n && cq[i] > done -> done = done + 1
	:: done < n && cq[i] <= done -> sleep(i)
	:: n == CALLS(i) && done == n -> break
#if defined(FULL) || defined(ALONE)
	/* It makes no further call. */
	:: n == CALLS(i) && done < n ->
#ifndef NO_TICK
		pay_agent(i);
#endif
		break
#endif
	od
}

inline wake_client(i)
{
	g = client_gen[i];
	if
	:: (g % 2 == 1 && g != woken[i]) ->
		woken[i] = g;
		FENCE(cq[i] == b_cq[i]);
		SEND(to_client[i]);
		owes[i] = false
	:: else -> skip
	fi
}

inline serve(i)
{
	taken[i] = taken[i] + 1;
	b_cq[i] = taken[i];
	owes[i] = true;
	wake_client(i)
}

inline pay_client(i)
{
#ifndef NO_DEBT_AGENT
	if
	:: owes[i] -> FENCE(cq[i] == b_cq[i]); wake_client(i); owes[i] = false
	:: else -> skip
	fi
#else
	skip
#endif
}

active proctype agent()
{
	byte taken[N], woken[N], g;
	bit owes[N];

	do
	:: sq[0] > taken[0] -> serve(0)
	:: sq[1] > taken[1] -> serve(1)
	:: else ->
		/* The burst is over. */
		pay_client(0);
		pay_client(1);
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
