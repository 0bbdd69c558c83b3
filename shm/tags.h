/*
 * shm/tags.h - an endpoint's tags as they lie in the table: packed, because most
 * of what emitters send repeats the endpoint's own attributes and the same dozen
 * names, and the rest are GUIDs.  Lossless for any text; deterministic, so that equal
 * endpoints give equal bytes.  Used by the writer and by whoever shows tags.
 */
#ifndef SHM_TAGS_H
#define SHM_TAGS_H

#include "endpoint.h"

struct inst;

#define TAGS_PACKED_MAX (ENDPOINT_TAGS_MAX + 2)

/* Packs at most ENDPOINT_TAGS_MAX bytes of tags that belong to `inst`, whose texts
 * are in place.  Returns how many bytes were written: never more than tags.len + 2,
 * and 0 for no tags. */
size_t tags_pack(const struct inst *inst, struct str tags, char out[TAGS_PACKED_MAX]);

/* False: tags_pack() never made that of this inst, which may be damaged as well.  *tags
 * points into `out`. */
bool tags_unpack(const struct inst *inst, struct str packed, char out[ENDPOINT_TAGS_MAX],
		 struct str *tags);

#endif
