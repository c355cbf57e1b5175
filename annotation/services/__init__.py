"""What can be done with people, turns, votes and samples; one file per noun."""

from annotation.services.distribution import batch_collect, batch_open, distribute, round_open
from annotation.services.gold import checks_mix_in, gold_add, gold_appoint, reason_told
from annotation.services.groups import groups_assign, groups_oddities, groups_propose, member_swap, person_override
from annotation.services.people import (
    people_import,
    person_create,
    person_move,
    person_pause,
    person_resume,
    preferences_save,
    turns_reassign,
)
from annotation.services.prelabels import hint_show, hints_offered, prelabels_save
from annotation.services.qualification import qualification_finish, qualification_record, qualification_start, session_record
from annotation.services.refusals import BadLines, Conflict, NotEligible
from annotation.services.samples import flags_settle, sample_flag, sample_reopen, sample_restore, samples_close_gone
from annotation.services.turns import (
    Turn,
    assignment_next,
    assignment_skip,
    draft_save,
    lease_extend,
    leases_expire,
    sample_repair,
    samples_repair,
)
from annotation.services.votes import vote_cast, vote_undo
from annotation.services.votes_file import votes_csv_of, votes_export, votes_export_as
from annotation.services.votes_import import Imported, votes_import
from annotation.services.webhooks import (
    announce,
    announce_all,
    deliveries_due,
    delivery_repeat,
    delivery_send,
    webhook_add,
    webhook_remove,
    webhook_renew,
    webhook_switch,
    webhook_test,
)

__all__ = [
    "BadLines",
    "Conflict",
    "Imported",
    "NotEligible",
    "Turn",
    "announce",
    "announce_all",
    "assignment_next",
    "assignment_skip",
    "batch_collect",
    "batch_open",
    "checks_mix_in",
    "deliveries_due",
    "delivery_repeat",
    "delivery_send",
    "distribute",
    "draft_save",
    "flags_settle",
    "gold_add",
    "gold_appoint",
    "groups_assign",
    "groups_oddities",
    "groups_propose",
    "hint_show",
    "hints_offered",
    "lease_extend",
    "leases_expire",
    "member_swap",
    "people_import",
    "person_create",
    "person_move",
    "person_override",
    "person_pause",
    "person_resume",
    "preferences_save",
    "prelabels_save",
    "qualification_finish",
    "qualification_record",
    "qualification_start",
    "reason_told",
    "round_open",
    "sample_flag",
    "sample_reopen",
    "sample_repair",
    "sample_restore",
    "samples_close_gone",
    "samples_repair",
    "session_record",
    "turns_reassign",
    "vote_cast",
    "vote_undo",
    "votes_csv_of",
    "votes_export",
    "votes_export_as",
    "votes_import",
    "webhook_add",
    "webhook_remove",
    "webhook_renew",
    "webhook_switch",
    "webhook_test",
]
