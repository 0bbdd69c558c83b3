/*
 * net/tls_system.h - the system's certificate authorities, beside those of the settings.
 * For tls_material.c.
 *
 * Their file is read at once, while root may, but made into certificates only when a
 * handshake meets an issuer that nothing else knows: 140 of them take 50 ms and megabytes in
 * each worker, and most workers only ever meet the platform's own.
 */
#ifndef NET_TLS_SYSTEM_H
#define NET_TLS_SYSTEM_H

#include <openssl/x509_vfy.h>

/* Without any such file nothing more is trusted. */
void tls_trust_system(X509_STORE *store);

#endif
