/*
 * proxy/steps.h - what a router does to every request and response, as two
 * ordered tables of small steps.  Each step does one thing and says whether the
 * exchange goes on; one that answers has prepared the answer (respond.h).
 */
#ifndef PROXY_STEPS_H
#define PROXY_STEPS_H

#include "proxy/exchange.h"

/* True: on to an endpoint.  False: x->state is X_RESPOND. */
bool steps_request(struct exchange *x);

/* The answer to a request whose head is_too_large. */
void steps_refuse_size(struct exchange *x);

/* The fields that tell the app about its client: once, when an endpoint was chosen.
 * (The access log shows of other requests what the client said itself.) */
void steps_forward(struct exchange *x);               /* forwarded.c */

/* The fields that name the chosen endpoint; for each attempt anew. */
void steps_attempt(struct exchange *x);

/* The head that came from upstream becomes the client's.  False: it cannot be
 * passed on, *failure says why. */
bool steps_response(struct exchange *x, enum failure *failure);
void steps_interim(struct exchange *x);

/* One step each, in files of their own. */
bool step_answer_status(struct exchange *x);          /* status.c */
bool step_answer_monitor(struct exchange *x);         /* status.c */
bool step_set_trace(struct exchange *x);              /* trace.c */
bool step_forward_client_cert(struct exchange *x);    /* client_cert.c */
bool step_want_instance(struct exchange *x);          /* instance.c */
bool step_want_sticky(struct exchange *x);            /* sticky.c */
bool step_strip_hop_by_hop(struct exchange *x);       /* forwarded.c */
bool step_strip_response(struct http_head *head);     /* forwarded.c */

#endif
