"""What the workbench says, in the reader's language: the script gets its words with the page."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from annotation.models import Emotion, Rung
from annotation.services import reason_told

EMOTION_NAMES = dict(Emotion.choices)
# Content flags of the cleaning review, as far as they have a name of their own
WARNING_NAMES = {
    "nsfw": gettext_lazy("nudity"),
    "violence": gettext_lazy("violence"),
    "gore": gettext_lazy("injuries"),
    "self-harm": gettext_lazy("self-harm"),
    "hate": gettext_lazy("hate"),
    "drugs": gettext_lazy("drugs"),
    "text": gettext_lazy("strong language"),
}
# What each emotion means, with clips that show it (the guide's short form).
EMOTION_GUIDE = {
    "Excitation": gettext_lazy(
        "Pleasant and lively. A crowd cheers a goal; a child unwraps a gift and laughs; a dance with a strong beat."
    ),
    "Fear": gettext_lazy("Threat or revulsion. Something moves in a dark corridor; a climber slips; an open wound."),
    "Neutral": gettext_lazy("No feeling stands out. Someone reads out a recipe; a product turns on a table; a street at noon."),
    "Relaxation": gettext_lazy("Pleasant and calm. Rain on a window; a cat asleep; slow music over a mountain lake."),
    "Sadness": gettext_lazy("Unpleasant and low. A farewell at a station; an old dog's last day; someone weeps alone."),
    "Tension": gettext_lazy("Unpleasant and charged. A quarrel in a shop; a driver shouts; a countdown that will not end."),
}
# What the site writes into timelines, skips, flags and the history of the staff, by what is kept there.
NOTES = {
    **dict(Rung.choices),
    "no other annotator can take it now": gettext_lazy("no other annotator can take it now"),
    "nobody at this rung can take it now": gettext_lazy("nobody at this rung can take it now"),
    "rather not watch this": gettext_lazy("would rather not watch it"),
    "language not understood": gettext_lazy("does not understand the language"),
    "know the people in it": gettext_lazy("knows the people in it"),
    "does not play here": gettext_lazy("it does not play there"),
    "broken": gettext_lazy("broken"),
    "unsafe": gettext_lazy("unsafe"),
    "changes_feeling": gettext_lazy("the feeling changes"),
    "ambiguous": gettext_lazy("ambiguous"),
    "flagged: broken": gettext_lazy("flagged as broken"),
    "flagged: unsafe": gettext_lazy("flagged as unsafe"),
    "grouped": gettext_lazy("grouped"),
    "moved": gettext_lazy("moved"),
    "swapped": gettext_lazy("swapped"),
    "paused": gettext_lazy("paused"),
    "resumed": gettext_lazy("resumed"),
    "role": gettext_lazy("new role"),
    "qualified": gettext_lazy("qualified"),
    "invited": gettext_lazy("got a link to choose a password"),
    "reassigned": gettext_lazy("clips given to others"),
    "created": gettext_lazy("newly made"),
    "imported": gettext_lazy("from a file"),
    "reserve": gettext_lazy("to the reserve"),
    "has not passed the labelling test": gettext_lazy("has not passed the labelling test"),
    "highest leadership to spare": gettext_lazy("highest leadership to spare"),
}


def note_told(text: str) -> str:
    """What the site or a person noted, in the reader's language where the site did."""
    return str(NOTES.get(text) or reason_told(text))


# (action, what it does), in the order of the cheat sheet
ACTIONS = [
    ("play", gettext_lazy("Play or pause")),
    ("back", gettext_lazy("One second back")),
    ("forward", gettext_lazy("One second on")),
    ("frameBack", gettext_lazy("One frame back")),
    ("frameForward", gettext_lazy("One frame on")),
    ("slower", gettext_lazy("Slower")),
    ("faster", gettext_lazy("Faster")),
    ("mute", gettext_lazy("Sound off or on")),
    ("louder", gettext_lazy("Louder")),
    ("quieter", gettext_lazy("Quieter")),
    ("fullScreen", gettext_lazy("Full screen")),
    ("group1", gettext_lazy("Open the first group")),
    ("group2", gettext_lazy("Open the second group")),
    ("group3", gettext_lazy("Open the third group")),
    ("group4", gettext_lazy("Open the fourth group")),
    ("group5", gettext_lazy("Open the fifth group")),
    ("group6", gettext_lazy("Open the sixth group")),
    ("filter", gettext_lazy("Type to filter the adjectives")),
    ("submit", gettext_lazy("Submit and go on")),
    ("undo", gettext_lazy("Take back the last vote")),
    ("skip", gettext_lazy("Skip this clip")),
    ("flag", gettext_lazy("Flag this clip")),
    ("hint", gettext_lazy("Show what a trained network expects, where the site offers it")),
    ("help", gettext_lazy("Instructions and keys")),
]


def workbench_words() -> dict[str, Any]:
    """Every text that the workbench's script writes; %s and %(name)s are filled in there."""
    return {
        "ready": _("ready"),
        "saving": _("saving …"),
        "saved": _("saved %s"),
        "waiting": _("%s waiting"),
        "offline": _("no connection, kept here"),
        "signedout": _("signed out, kept here"),
        "today": _("%(done)s of %(all)s today"),
        "found": _("%s match"),
        "nothingChosen": _("nothing chosen yet"),
        "noClip": _("There is no clip to vote on."),
        "veiled": _("Show the clip first, or skip it."),
        "needAdjective": _("Choose an adjective."),
        "needConfidence": _("Say how sure you are: a key from 1 to 9, or 0 for certain."),
        "undone": _("taken back"),
        "skipped": _("Skipped. Someone else will see this clip."),
        "flagged": _("Flagged. The clip goes to the cleaning review."),
        "flaggedGoOn": _("Flagged for the cleaning review. Your vote on it is still wanted."),
        "spread": _("On the last clip, before you, the others said:"),
        "hint": _("A trained network expects %(emotion)s, with a certainty of %(sure)s. It is often wrong: what you feel counts."),
        "noHint": _("There is no hint for this clip."),
        "noConnection": _("No connection. Try again in a moment; nothing is lost."),
        "wrongPassword": _("That password is not right."),
        "wrongCode": _("That code is not right, or was used already."),
        "brokenClip": _("This clip does not play. Flag it as broken, or load the page again."),
        "voteRefused": _("A vote was not taken:"),
        "takenOver": _("You work in another window or on another machine now. This one has stopped, so that no clip is voted on twice."),
        "positive": _("positive"),
        "neutral": pgettext("polarity", "neutral"),
        "negative": _("negative"),
        "certain": _("certain"),
        # the refusals of the API that a person may meet, by their code
        "refusals": {
            "lease_lost": _("This clip is open in another window of yours."),
            "already_submitted": _("You have already submitted this clip."),
            "closed": _("This clip no longer waits for you: it was decided or given to someone else."),
            "undone": _("That vote has already been taken back."),
            "too_late": _("It is too late to take that vote back. Ask your manager to open the clip again."),
            "voted_above": _("A leader or the expert has voted since. Ask your manager to open the clip again."),
            "paused": _("You are paused. Your manager can resume you."),
            "not_qualified": _("Pass the labelling test first (90 or more in both parts)."),
            "permission_denied": _("Your role does not include this."),
        },
        "rungs": {
            "leader": _("It came to you because the three members named three different emotions."),
            "exchange": _("It came to you from another group: its members and its leader all named different emotions."),
            "expert": _("It came to you because nobody on the ladder agreed: yours is the last word."),
        },
        "warnings": {key: str(name) for key, name in WARNING_NAMES.items()},
    }
