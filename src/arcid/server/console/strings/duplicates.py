"""Who is enrolled twice."""

DUPLICATES = "Duplicates"
DUPLICATES_LEAD = (
    "Two people who may be one. You decide; answers can be undone, a merge for 30 days."
)
DUPLICATES_NONE = "Nothing to decide"
DUPLICATES_NONE_TEXT = "Pairs of people who may be one wait here after a search."
DUPLICATES_WAITING = "Waiting"
DUPLICATES_MORE = "{n} wait in all; the most probable are shown."
DUPLICATES_NONE_SHORT = "No pair waits."
DUPLICATES_ANSWERED = "Answered"
DUPLICATES_NOT_ANSWERED = "Nothing was answered yet."
DUPLICATES_QUESTION = "Are these one person?"
DUPLICATES_BOTH = "{a} and {b}"
DUPLICATES_IN = "{name} in {collection}"
DUPLICATES_KEEP = "If they are one, the name to keep"
DUPLICATES_ELSEWHERE = "They are in two collections, so they are not merged; the answer is kept."
DUPLICATES_SAME_PHOTO = (
    "The same photo was enrolled under both names. Delete that face of one of them, then they can "
    "be merged."
)
DUPLICATES_SAME = "Same person"
DUPLICATES_SAME_NAME = "{a} and {b} are the same person"
DUPLICATES_DIFFERENT = "Different"
DUPLICATES_DIFFERENT_NAME = "{a} and {b} are different people"
DUPLICATES_LOOKALIKE = "Look-alikes"
DUPLICATES_LOOKALIKE_NAME = "{a} and {b} are different people who look alike: do not ask again"
DUPLICATES_UNSURE = "Unsure"
DUPLICATES_UNSURE_NAME = "Not sure about {a} and {b}"
DUPLICATES_DONE = {
    "same": "{a} and {b} are one person now.",
    "different": "Different people. You are asked again only if newer photos are more alike.",
    "lookalike": "Different people. You are not asked again.",
    "unsure": "Put aside. It is under Answered.",
}
DUPLICATES_KEPT = "Noted that they are one person."
DUPLICATES_STATES = {
    "same": "One person",
    "different": "Different",
    "lookalike": "Look-alikes",
    "unsure": "Unsure",
}
DUPLICATES_UNDONE = "Taken back."
DUPLICATES_UNDONE_LESS = "Taken back. {n} faces were deleted or given to somebody else since."
DUPLICATES_TAKEN = "The name is taken now"
DUPLICATES_OTHER_NAME = "Another name for whom there is again"
DUPLICATES_GONE = "somebody since deleted"
DUPLICATES_DETAILS = "The numbers"
DUPLICATES_COSINE = "Likeness (cosine)"
DUPLICATES_FMR = "Two strangers as alike"
DUPLICATES_FMR_TEXT = "at most {fmr:.1e}"
DUPLICATES_TEMPLATES = "Faces of theirs that alike"

DUPLICATES_RUN = "Search"
DUPLICATES_NEVER = "Everybody was never compared with everybody."
DUPLICATES_BEGIN = "Compare everybody"
DUPLICATES_FALSE = "False pairs expected, at most"
DUPLICATES_WITH = "Compare with"
DUPLICATES_WITHIN = "the same collection"
DUPLICATES_SINCE = "Only who came since the last search"
DUPLICATES_EXTRAPOLATE = "Use the calibration beyond its data"
DUPLICATES_STOP = "Stop"
DUPLICATES_GO_ON = "Go on"
DUPLICATES_BEGUN = "The search is under way."
DUPLICATES_RUN_STATES = {
    "waiting": "Waits for its turn",
    "running": "Comparing",
    "stopped": "Stopped",
    "done": "Done",
    "failed": "Failed",
    "silent": "Cut off",
}
DUPLICATES_PROGRESS = "{state}: {share:.0%}, {pairs}"
ONE_PAIR, MANY_PAIRS = "1 pair", "{n} pairs"
DUPLICATES_GROUPS = "Groups"
DUPLICATES_GROUPS_TEXT = "People who may all be one, the largest group first."
DUPLICATES_GROUPS_MANY = "Too many pairs for this page: arcid duplicates groups lists them."
DUPLICATES_EXPORT = "Export"
