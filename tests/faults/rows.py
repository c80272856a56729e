"""The faults of storage and process that were thought of, one a row: where each is proven, or why it is not.

A proof is the id of a test, from the root of the tests. ``reason`` says what no test here does, and why.
"""

from __future__ import annotations

from dataclasses import dataclass

NO_NFS = (
    "No NFS is run here: there is no module of a server, and none of a client. What NFS does to a caller is injected at"
    " the calls instead."
)
FAULTS, SPOOL = "faults", "mta/spool"


@dataclass(frozen=True)
class Row:
    """One fault.

    Attributes:
        number: by which people know it.
        root: whether its proofs need root; they say so and are skipped without (and fail in CI).
    """

    number: int
    fault: str
    expected: str
    proofs: tuple[str, ...] = ()
    reason: str = ""
    root: bool = False


ROWS = (
    Row(
        1,
        "kill -9 at every call of accepting",
        "what was acknowledged is there, nothing partial",
        (
            f"{FAULTS}/test_strace_kill.py::test_death_at_a_call_loses_nothing",
            f"{FAULTS}/test_spool_crashes.py::test_accepting_dies_at_every_call",
            f"{FAULTS}/test_kill_under_load.py::test_no_kill_loses_or_harms_what_was_acknowledged",
        ),
    ),
    Row(
        2,
        "kill -9 at every call of delivering",
        "no more duplicates than intents",
        (
            f"{FAULTS}/test_strace_kill.py::test_death_at_a_call_loses_nothing",
            f"{FAULTS}/test_spool_crashes.py::test_delivering_dies_at_every_call",
        ),
    ),
    Row(
        3,
        "power loss",
        "as 1",
        (
            f"{FAULTS}/test_power_loss.py::test_power_loss_loses_nothing_acknowledged",
            f"{FAULTS}/test_power_loss_xfs.py::test_power_loss_on_xfs_loses_nothing_acknowledged",
            f"{FAULTS}/test_power_loss_xfs.py::test_what_was_left_survives_though_nobody_may_sync_the_box",
        ),
        root=True,
    ),
    Row(
        4,
        "reordered writes, a torn batch",
        "the tail is dropped, older mail is kept",
        (
            f"{SPOOL}/test_recovery.py::test_a_torn_tail_costs_only_what_was_never_acknowledged",
            f"{SPOOL}/test_format.py::test_a_cut_segment_gives_a_prefix",
            f"{SPOOL}/test_format.py::test_one_flipped_byte_harms_one_record",
        ),
        "Reordering by the block layer (dm-log-writes) needs a device mapper; torn and damaged batches are"
        " made by hand.",
    ),
    Row(
        5,
        "EIO of fdatasync",
        "the batch is 451, the segment is never used again, the next one works",
        (
            f"{FAULTS}/test_strace_errors.py::test_a_failing_call_is_4yz_and_loses_nothing",
            f"{FAULTS}/test_fuse.py::test_writes_that_fail_for_one_file_only_go_elsewhere",
            f"{SPOOL}/test_faults.py::test_a_descriptor_is_never_synced_again_after_an_error",
        ),
    ),
    Row(
        6,
        "EIO of reading one segment",
        "its messages are deferred, all others go on",
        (
            f"{FAULTS}/test_fuse.py::test_a_segment_that_can_not_be_read_holds_its_own_mail_only",
            f"{SPOOL}/test_faults.py::test_an_unreadable_segment_defers_its_messages_only",
        ),
        root=True,
    ),
    Row(
        7,
        "fsync lies",
        "found out",
        (
            f"{FAULTS}/test_power_loss.py::test_a_build_that_does_not_sync_is_found_out",
            f"{FAULTS}/test_ledger.py::test_a_build_that_leaves_the_sync_out_is_found_out",
            f"{SPOOL}/test_probe.py::test_the_start_tells_of_warnings",
        ),
        "Records that never reached the disk leave no trace there: no queue can find that out by itself. The books of"
        " a client do, and the start warns of kinds of volumes that are known to forget.",
        root=True,
    ),
    Row(
        8,
        "ENOSPC at making, writing, syncing",
        "452 4.3.1; deliveries go on from the reserve; never 5yz",
        (
            f"{FAULTS}/test_spool_volume.py::test_a_volume_that_fills_up_refuses_mail_and_goes_on_delivering",
            f"{FAULTS}/test_strace_errors.py::test_a_failing_call_is_4yz_and_loses_nothing",
            f"{SPOOL}/test_faults.py::test_results_are_written_from_the_ballast_when_the_volume_is_full",
        ),
        root=True,
    ),
    Row(
        9,
        "EDQUOT, no inodes",
        "as 8",
        (
            f"{FAULTS}/test_spool_volume.py::test_a_volume_without_inodes_refuses_mail",
            f"{FAULTS}/test_troubles.py::test_quotas_and_stale_handles_are_4yz",
        ),
        root=True,
    ),
    Row(
        10,
        "permissions change at run time",
        "one log line, no spinning, heals when they are back",
        (
            f"{FAULTS}/test_troubles.py::test_modes_that_change_under_load_lose_nothing_and_cost_nothing",
            f"{FAULTS}/test_strace_errors.py::test_permissions_taken_away_and_given_back",
        ),
        root=True,
    ),
    Row(
        11,
        "the volume becomes read-only",
        "as 10",
        (f"{FAULTS}/test_strace_errors.py::test_readiness_follows_the_volume",),
        "By EROFS of the calls: the kernel lets nobody remount a volume read-only under files that are written to.",
    ),
    Row(
        12,
        "the queue's directory is moved or deleted",
        "no spinning, not ready, no acknowledgement",
        (
            f"{FAULTS}/test_strace_errors.py::test_a_queue_that_is_moved_away_takes_nothing_until_it_is_back",
            f"{FAULTS}/test_strace_errors.py::test_a_queue_that_is_deleted_takes_nothing",
        ),
    ),
    Row(
        13,
        "the volume hangs",
        "no acknowledgement, deadlines hold, alive but not ready",
        (
            f"{FAULTS}/test_troubles.py::test_a_volume_that_hangs_gets_no_acknowledgement_and_stops_nothing_else",
            f"{FAULTS}/test_fuse.py::test_a_slow_volume_is_slow_and_nothing_else",
            f"{SPOOL}/test_faults.py::test_a_hung_volume_is_451_and_what_it_writes_later_is_void",
        ),
        root=True,
    ),
    Row(14, "an NFS server starts again within a batch", "goes on, nothing lost", reason=NO_NFS),
    Row(
        15,
        "the answer of an NFS server is lost, and the request repeated",
        "EEXIST and ENOENT are settled by looking",
        (
            f"{SPOOL}/test_offline.py::test_a_rename_whose_answer_was_lost_is_found_by_looking",
            f"{FAULTS}/test_fuse.py::test_what_an_old_view_of_the_volume_hides_is_delivered_once_it_shows",
        ),
        f"{NO_NFS} An old view of the volume, as its clients have one, is shown by a file system of our own. Adoption"
        " rests on no single answer: a claim is looked at after it was made.",
        root=True,
    ),
    Row(
        16,
        "ESTALE",
        "451, and the next segment works",
        (f"{FAULTS}/test_troubles.py::test_quotas_and_stale_handles_are_4yz",),
        root=True,
    ),
    Row(
        17,
        "a flipped bit at every position",
        "one message is harmed at most",
        (
            f"{SPOOL}/test_recovery.py::test_every_flipped_byte_harms_one_message_at_most",
            f"{SPOOL}/test_seal.py::test_any_flipped_bit_harms_its_record_and_no_other",
        ),
    ),
    Row(
        18,
        "a segment cut, zeroed, or with garbage behind it",
        "dropped or put aside, the rest is served",
        (
            f"{SPOOL}/test_format.py::test_zeros_behind_the_last_record_are_preallocation_not_damage",
            f"{SPOOL}/test_format.py::test_garbage_behind_the_last_record_is_a_torn_tail",
            f"{SPOOL}/test_recovery.py::test_a_segment_without_a_header_stops_nothing",
        ),
    ),
    Row(
        19,
        "segments doubled or swapped",
        "held, served once",
        (
            f"{SPOOL}/test_displaced.py::test_a_segment_that_is_there_twice_is_served_once_and_kept",
            f"{SPOOL}/test_displaced.py::test_swapped_segments_are_held_until_they_are_swapped_back",
            f"{SPOOL}/test_seal.py::test_records_open_at_their_place_only",
        ),
    ),
    Row(
        20,
        "a wrong key, a missing one, a rotated one",
        "old mail is readable while its key is there, else held",
        (
            f"{FAULTS}/test_no_plaintext.py::test_a_wrong_key_holds_mail_and_says_so_until_the_right_one_comes",
            f"{SPOOL}/test_crypto.py::test_without_the_key_mail_is_held_said_and_untouched",
            f"{SPOOL}/test_crypto.py::test_mail_under_an_older_key_moves_to_the_newest",
        ),
    ),
    Row(
        21,
        "the queue of an older or a newer version",
        "served, or refused untouched",
        (
            f"{SPOOL}/test_recovery.py::test_an_unknown_version_is_refused_and_not_touched",
            f"{SPOOL}/test_recovery.py::test_segments_of_a_later_format_are_held_and_kept",
            "contract/test_golden_spool.py::test_a_queue_of_each_version_is_served",
        ),
    ),
    Row(
        22,
        "two processes think that they own one directory",
        "one acknowledges nothing once the owner changed",
        (
            f"{FAULTS}/test_adoption.py::test_a_process_that_was_paused_and_adopted_goes_on_without_losing_or_keeping_anything",
            f"{SPOOL}/test_faults.py::test_nothing_is_acknowledged_after_somebody_else_took_over",
        ),
    ),
    Row(
        23,
        "a pause between the look at the owner and the 250",
        "the adopter delivers; the client gets 250 or not",
        (
            f"{SPOOL}/test_shared_check.py::test_an_answer_never_comes_from_a_check_that_began_before_the_question",
            f"{SPOOL}/test_lost.py::test_what_a_zombie_writes_late_is_delivered_by_its_adopter",
            "model/test_queue_model.py",
        ),
    ),
    Row(
        24,
        "an adopter dies at every step",
        "the next one finishes",
        (
            f"{FAULTS}/test_adoption.py::test_an_adopter_may_die_at_every_step",
            f"{FAULTS}/test_spool_crashes.py::test_chains_of_adopters_that_die_one_after_the_other",
            "model/test_adoption_model.py",
        ),
    ),
    Row(
        25,
        "the API server is away",
        "mail flows",
        ("kube/test_operator_outages.py::test_pods_take_mail_and_start_again_while_the_api_server_is_away",),
        "Adoption goes on meanwhile: it asks the volume, and never the API server.",
        root=True,
    ),
    Row(
        26,
        "signs of life come late",
        "no two owners, no acknowledgement by the loser",
        (
            f"{FAULTS}/test_adoption.py::test_a_process_that_was_paused_and_adopted_goes_on_without_losing_or_keeping_anything",
            f"{SPOOL}/test_forest.py::test_time_in_which_nobody_looked_proves_nothing",
            f"{SPOOL}/test_lost.py::test_a_beat_that_does_not_get_through_shows_as_trouble",
        ),
        "Conflicts of the API server (409) decide nothing here: signs of life are on the volume.",
    ),
    Row(
        27,
        "the wall clock jumps or is slewed",
        "no mass bounce, retries go on",
        (
            f"{FAULTS}/test_clock.py::test_a_clock_that_jumps_bounces_nothing_and_stops_nothing",
            "mta/service/test_steady.py::test_a_jump_changes_nothing_for_an_hour_and_is_told_once",
            "mta/service/test_steady.py::test_small_corrections_and_slews_are_followed",
        ),
        "A clock that is wrong at the start is believed: a queue that slept for a month looks the same.",
    ),
    Row(
        28,
        "the machine is suspended",
        "as 22",
        (
            f"{FAULTS}/test_adoption.py::test_a_process_that_was_paused_and_adopted_goes_on_without_losing_or_keeping_anything",
            "mta/service/test_steady.py::test_a_suspended_machine_is_no_jump",
        ),
        "The process is stopped, not the machine.",
    ),
    Row(
        29,
        "SIGTERM with sessions open and mail queued",
        "421 to the idle, transactions end, the rest is adopted",
        (
            "integration/test_workers.py::test_sigterm_lets_transactions_finish_and_dismisses_the_idle",
            f"{FAULTS}/test_adoption.py::test_a_drained_process_hands_its_queue_over_at_once",
        ),
        "With few sessions and messages: 500 and 10,000 take 43 s. `PAQUEBOT_IDLE=500 PAQUEBOT_LEFT=10000 pytest"
        " tests/faults/test_adoption.py -k drained` runs with these.",
    ),
    Row(
        30,
        "memory runs out",
        "clients are put off before anything is killed",
        (
            "mta/accept/test_rates.py::test_memory_is_measured_against_the_containers_limit",
            "mta/accept/test_rates.py::test_stress_begins_with_any_shortage_and_is_told_once",
            "mta/accept/test_rates.py::test_under_stress_clients_are_waited_for_a_short_time_only",
        ),
        "The limit of a real control group is not driven to its end.",
    ),
    Row(
        31,
        "no descriptors are left",
        "accepting waits, nothing spins",
        (f"{FAULTS}/test_troubles.py::test_without_descriptors_it_waits_and_does_not_spin",),
        root=True,
    ),
    Row(
        32,
        "threads are stuck on the volume",
        "sessions, DNS and logs go on",
        (f"{FAULTS}/test_troubles.py::test_a_volume_that_hangs_gets_no_acknowledgement_and_stops_nothing_else",),
        root=True,
    ),
    Row(
        33,
        "a million messages at the start",
        "ready in time, memory bounded",
        reason="It takes too long for a test: `make bench-queue` measures it.",
    ),
    Row(
        34,
        "nobody reads the log",
        "mail flows, lines are dropped and counted",
        (
            "mta/telemetry/test_log.py::test_a_blocked_pipe_loses_lines_and_never_blocks",
            "mta/telemetry/test_log.py::test_a_closed_pipe_is_counted_not_raised",
        ),
    ),
)
