/* SPDX-License-Identifier: MIT */
/* Who loses a connection when there are too many, and what each peer may have
 * under way. */
#include <errno.h>
#include <sys/socket.h>

#include "host-client/gateway/http/peer.h"
#include "tests/fixtures/unit.h"

#define MANY 32

static struct pst_gw_peers peers;
static int far[MANY];
static unsigned int n_far;

static void begin(unsigned int conns)
{
	const struct pst_gw_limits max = {
		.conns = conns,
		.ops = 2,
		.body_bytes = 1000,
	};

	pst_gw_peers_init(&peers, &max);
	n_far = 0;
}

static void end(void)
{
	struct pst_gw_conn *c;

	TAILQ_FOREACH(c, &peers.conns, link)
	pst_close_fd(c->fd);
	pst_gw_peers_done(&peers);
	ck_assert(LIST_EMPTY(&peers.peers));
	ck_assert_uint_eq(peers.body_bytes, 0);
	while (n_far > 0)
		pst_close_fd(far[--n_far]);
}

/* A new connection of nobody yet. */
static struct pst_gw_conn *stranger(void)
{
	struct pst_gw_conn *c;
	int fds[2];

	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	far[n_far++] = fds[1];
	c = pst_gw_conn_new(&peers, fds[0], false);
	ck_assert_ptr_nonnull(c);
	return c;
}

static struct pst_gw_conn *of_token(unsigned int token, bool busy)
{
	struct pst_gw_conn *c = stranger();

	ck_assert_int_eq(pst_gw_conn_is_token(&peers, c, token), 0);
	pst_gw_conn_expect(c, busy, 0);
	return c;
}

START_TEST(busy_connections_of_one_do_not_keep_another_out)
{
	struct pst_gw_conn *greedy[4], *other;
	unsigned int i;

	begin(4);
	for (i = 0; i < 4; i++)
		greedy[i] = of_token(1, true);
	other = of_token(2, true);
	ck_assert(!other->ended);
	ck_assert(greedy[3]->ended);
	ck_assert(!greedy[0]->ended && !greedy[1]->ended && !greedy[2]->ended);
	end();
}
END_TEST

START_TEST(one_more_of_who_has_all_is_refused)
{
	struct pst_gw_conn *c[4];
	unsigned int i;

	begin(3);
	for (i = 0; i < 3; i++) {
		c[i] = stranger();
		pst_gw_conn_expect(c[i], true, 0);
	}
	c[3] = stranger();
	ck_assert(c[3]->ended);
	for (i = 0; i < 3; i++)
		ck_assert(!c[i]->ended);
	end();
}
END_TEST

START_TEST(the_one_that_waited_longest_goes_first)
{
	struct pst_gw_conn *c[4];

	begin(3);
	c[0] = of_token(1, false);
	c[1] = of_token(1, true);
	c[2] = of_token(1, false);
	/* The oldest has just had a request, and waits again. */
	c[0]->deadline_ns = c[2]->deadline_ns + 1;
	c[3] = of_token(2, false);
	ck_assert(c[2]->ended);
	ck_assert(!c[0]->ended && !c[1]->ended && !c[3]->ended);
	end();
}
END_TEST

START_TEST(a_suspended_connection_does_not_count_as_one_that_goes)
{
	struct pst_gw_conn *c[3];

	begin(2);
	c[0] = of_token(1, true);
	c[1] = of_token(1, true);
	c[1]->waiting = true;
	c[2] = stranger();
	ck_assert(c[0]->ended && !c[1]->ended && !c[2]->ended);
	end();
}
END_TEST

START_TEST(operations_are_limited_for_each_and_outlive_a_connection)
{
	struct pst_gw_conn *a, *other;
	struct pst_gw_peer *op[2];

	begin(4);
	a = of_token(1, true);
	other = of_token(2, true);
	op[0] = pst_gw_peer_take_op(&peers, a);
	op[1] = pst_gw_peer_take_op(&peers, of_token(1, true));
	ck_assert(op[0] && op[0] == op[1]);
	ck_assert_ptr_null(pst_gw_peer_take_op(&peers, a));
	ck_assert_ptr_nonnull(pst_gw_peer_take_op(&peers, other));
	pst_close_fd(a->fd);
	pst_gw_conn_free(&peers, a);
	/* A new connection of the same token finds what is under way. */
	a = of_token(1, true);
	ck_assert_ptr_null(pst_gw_peer_take_op(&peers, a));
	pst_gw_peer_give_op(op[0]);
	ck_assert_ptr_eq(pst_gw_peer_take_op(&peers, a), op[1]);
	pst_gw_peer_give_op(op[1]);
	pst_gw_peer_give_op(op[1]);
	pst_gw_peer_give_op(other->peer);
	end();
}
END_TEST

START_TEST(bodies_are_added_up_for_each_and_for_all)
{
	struct pst_gw_conn *a, *b, *c;

	begin(4);
	a = of_token(1, true);
	b = of_token(2, true);
	c = of_token(3, true);
	ck_assert_int_eq(pst_gw_body_take(&peers, a, 501), -EMSGSIZE);
	ck_assert_int_eq(pst_gw_body_take(&peers, a, UINT64_MAX), -EMSGSIZE);
	ck_assert_int_eq(pst_gw_body_take(&peers, a, 300), 0);
	ck_assert_int_eq(pst_gw_body_take(&peers, a, 201), -EAGAIN);
	ck_assert_int_eq(pst_gw_body_take(&peers, a, 200), 0);
	ck_assert_int_eq(pst_gw_body_take(&peers, b, 400), 0);
	ck_assert_int_eq(pst_gw_body_take(&peers, c, 101), -ENOSPC);
	ck_assert_int_eq(pst_gw_body_take(&peers, c, 100), 0);
	pst_gw_body_give(&peers, a, 300);
	ck_assert_int_eq(pst_gw_body_take(&peers, c, 300), 0);
	pst_gw_body_give(&peers, a, 200);
	pst_gw_body_give(&peers, b, 400);
	pst_gw_body_give(&peers, c, 100);
	pst_gw_body_give(&peers, c, 300);
	end();
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, busy_connections_of_one_do_not_keep_another_out);
	tcase_add_test(tc, one_more_of_who_has_all_is_refused);
	tcase_add_test(tc, the_one_that_waited_longest_goes_first);
	tcase_add_test(tc,
		       a_suspended_connection_does_not_count_as_one_that_goes);
	tcase_add_test(
		tc, operations_are_limited_for_each_and_outlive_a_connection);
	tcase_add_test(tc, bodies_are_added_up_for_each_and_for_all);
}

int main(void)
{
	return pst_unit_run("gateway_peer", add, 10);
}
