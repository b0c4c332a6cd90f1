/* rpc/account.h - who pays for what calls make the process keep: bytes that wait in either direction of them.
 *
 * Each connection that was accepted has an account, for its calls and for those that are made on behalf of them: so one
 * client cannot take from others the connection to a server that they share. Calls that nobody's call has made are on
 * an account of whoever makes them.
 *
 * An account at a bound (limits.buffered_per_connection, or its share of limits.buffered_total) gets no more: its calls
 * give no window back, and call_is_full() is true for them. That of another gateway's or worker's connection, which
 * carries the calls of many clients, has only the second bound. */
#ifndef TIDEWIRE_RPC_ACCOUNT_H
#define TIDEWIRE_RPC_ACCOUNT_H

struct account;
struct call;
struct rpc;

struct account *account_new(struct rpc *rpc); /* one reference */
struct account *account_ref(struct account *account);
void account_unref(struct account **account);
/* Lives as long as the call; take a reference to keep it. */
struct account *call_account(const struct call *call);
#endif
