/* bus/wire_options.c - see wire_private.h: what the config means to the client library. */
#include "bus/wire_private.h"

#define WRITE_DEADLINE (2 * NS_PER_S) /* a server that takes nothing for so long is lost */

static natsStatus set_identity(natsOptions *options, const struct config_bus *config) {
    if (config->user) return natsOptions_SetUserInfo(options, config->user, config->password);
    if (config->token) return natsOptions_SetToken(options, config->token);
    if (config->credentials) return natsOptions_SetUserCredentialsFromFiles(options, config->credentials, NULL);
    if (config->nkey) return natsOptions_SetNKeyFromSeed(options, config->nkey, config->nkey_seed);
    return NATS_OK;
}

static natsStatus set_tls(natsOptions *options, const struct config_upstream_tls *tls) {
    if (!tls) return NATS_OK;
    natsStatus status = natsOptions_SetSecure(options, true);
    if (status == NATS_OK && tls->ca) status = natsOptions_LoadCATrustedCertificates(options, tls->ca);
    if (status == NATS_OK && tls->certificate)
        status = natsOptions_LoadCertificatesChain(options, tls->certificate, tls->key);
    if (status == NATS_OK && tls->server_name) status = natsOptions_SetExpectedHostname(options, tls->server_name);
    if (status == NATS_OK && !tls->is_verified) status = natsOptions_SkipServerVerification(options, true);
    return status;
}

natsStatus wire_set_options(natsOptions *options, const struct config_bus *config) {
    int urls = 0;
    while (config->urls[urls]) urls++;
    natsStatus status = natsOptions_SetServers(options, (const char **)config->urls, urls);
    if (status == NATS_OK) status = natsOptions_SetName(options, config->name);
    if (status == NATS_OK) status = natsOptions_SetTimeout(options, wire_milliseconds(config->connect_timeout));
    if (status == NATS_OK) status = natsOptions_SetPingInterval(options, wire_milliseconds(config->ping));
    if (status == NATS_OK) status = natsOptions_SetMaxPingsOut(options, 2);
    if (status == NATS_OK) status = natsOptions_SetAllowReconnect(options, false);
    if (status == NATS_OK) status = natsOptions_SetNoEcho(options, true);
    if (status == NATS_OK) status = natsOptions_UseGlobalMessageDelivery(options, true);
    if (status == NATS_OK) status = natsOptions_SetMaxPendingMsgs(options, (int)config->messages);
    if (status == NATS_OK) status = natsOptions_SetWriteDeadline(options, wire_milliseconds(WRITE_DEADLINE));
    if (status == NATS_OK) status = set_identity(options, config);
    return status == NATS_OK ? set_tls(options, config->tls) : status;
}
