/*
 * master/handover.c - open and close.
 */
#include "master/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

static int open_events(struct handover *handover, struct reason *reason)
{
	if (pipe2(handover->events, O_CLOEXEC | O_NONBLOCK) < 0)
		return reason_set(reason, -errno, "event pipe: %s", strerror(errno));
	return 0;
}

int handover_open(struct handover *handover, const struct master_config *config,
		  struct reason *reason)
{
	struct region_spec spec = master_config_region(config);
	int rc = region_open(&spec, &handover->objects, reason);

	if (rc < 0)
		return rc;
	rc = board_map(handover->objects.board, &handover->board, reason);
	if (rc < 0)
		goto fail_region;
	rc = board_slot_claim(handover->board, SLOT_MASTER, reason);
	if (rc < 0)
		goto fail_board;
	rc = tls_ticket_keys_create(&handover->ticket_keys, &handover->ticket_keys_fd, reason);
	if (rc < 0)
		goto fail_board;
	rc = open_events(handover, reason);
	if (rc < 0)
		goto fail_keys;
	board_slot_assign(handover->board, SLOT_MASTER, (uint32_t)getpid(), 0, clock_ms());
	board_slot_set_state(handover->board, SLOT_MASTER, SLOT_READY);
	handover->slots = (struct slots){ .board = handover->board };
	slots_adopt(&handover->slots, handover->logs.access_log);
	return 0;
fail_keys:
	tls_ticket_keys_unmap(handover->ticket_keys);
	close(handover->ticket_keys_fd);
fail_board:
	board_unmap(handover->board);
fail_region:
	region_release(config->instance.name, &handover->objects, handover->objects.is_fresh);
	return rc;
}

void handover_tick(struct handover *handover, uint64_t ticket_key_ms, uint64_t now_ms)
{
	if (handover->tickets_rotate_ms && now_ms >= handover->tickets_rotate_ms) {
		tls_ticket_keys_rotate(handover->ticket_keys);
		handover->tickets_rotate_ms = 0;
		log_info("ticket-keys-rotated", "version=%u", handover->ticket_keys->version);
	}
	if (!handover->tickets_rotate_ms)
		handover->tickets_rotate_ms = now_ms + ticket_key_ms;
}

void handover_close(struct handover *handover, const char *instance, bool remove)
{
	close(handover->events[0]);
	close(handover->events[1]);
	tls_ticket_keys_unmap(handover->ticket_keys);
	close(handover->ticket_keys_fd);
	board_unmap(handover->board);
	region_release(instance, &handover->objects, remove);
}
