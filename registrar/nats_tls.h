/*
 * registrar/nats_tls.h - keys and certificates for TLS to NATS: read and checked once
 * at start, while the process may still read key files; a reload starts a new
 * registrar and so reads them again.
 */
#ifndef REGISTRAR_NATS_TLS_H
#define REGISTRAR_NATS_TLS_H

#include "base/reason.h"
#include "registrar/config.h"
#include "registrar/names.h"

struct __natsOptions;

/* Reads the files into *_pem and proves that they are usable together.  0, or -EINVAL
 * (-errno) with a reason that names the file. */
int nats_tls_load(struct nats_tls_settings *tls, struct reason *reason);

bool nats_tls_is_wanted(const struct nats_settings *settings, const struct server_name *server);

/* Makes the options demand TLS, if it is configured.  0 or a natsStatus. */
int nats_tls_apply(const struct nats_settings *settings, const struct server_name *server,
		   struct __natsOptions *options);

#endif
