/*
 * proxy/request_id.h - X-Vcap-Request-Id: a random UUID of version 4 for every
 * request (spec proxy 5.4).
 */
#ifndef PROXY_REQUEST_ID_H
#define PROXY_REQUEST_ID_H

#define REQUEST_ID_SIZE 37            /* 36 characters and a terminator */

void request_id_make(char out[REQUEST_ID_SIZE]);

/* From the same supply: 16 random lower-case hexadecimal digits, no terminator. */
void request_id_random_digits(char out[16]);

#endif
