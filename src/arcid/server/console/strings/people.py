"""Collections, people, and how they are enrolled."""

# collections
COLLECTION = "Collection"
NO_COLLECTION = "No people yet"
NO_COLLECTION_TEXT = "People are kept in collections that are searched as one. Make the first."
NO_COLLECTION_VIEWER = "An operator makes the first collection."
COLLECTION_NAME = "Name of the collection"
COLLECTION_FIRST = "people"
COLLECTION_KEEP = "Keep small aligned face pictures"
COLLECTION_KEEP_TEXT = (
    "Shows faces here and lets a future model take over without new photos. Without it only "
    "numbers are stored."
)
COLLECTION_MAKE = "Create collection"
COLLECTIONS_LEAD = "People of one collection are searched together."
COLLECTION_PICTURES = "keeps face pictures"
COLLECTION_NUMBERS = "keeps numbers only"
COLLECTION_RENAME = "Rename {name}"
COLLECTION_RENAME_TEXT = (
    "Cameras and kiosks follow. Programs that use the old name in the REST API do not."
)
COLLECTION_RENAMED = "It is called {name} now."
COLLECTION_DELETE = "Delete"
COLLECTION_DELETE_TITLE = "Delete the collection {name}?"
COLLECTION_DELETE_TEXT = (
    "{total}, and everything they were seen doing, are erased for good. Its cameras stop looking."
)
COLLECTION_DELETED = "The collection {name} is deleted."

# people
PEOPLE = "People"
PEOPLE_LEAD = "Everybody this service can recognise."
PEOPLE_SEARCH = "Find by name"
PEOPLE_WHERE = "Only with these details"
PEOPLE_WHERE_LIKE = "site=Berlin, floor:=3"
PEOPLE_ADD = "Add person"
PEOPLE_NONE = "Nobody here yet"
PEOPLE_NONE_TEXT = "Add somebody with one or more photos."
PEOPLE_NOT_FOUND = "Nobody like that"
PEOPLE_NOT_FOUND_TEXT = "Try a part of the name; details have to be the same, letter by letter."
PEOPLE_MORE = "Show more"
PEOPLE_DUPLICATES = "Find duplicates"
PEOPLE_COUNT = "{people} · {faces}"
ONE_PERSON, MANY_PEOPLE = "1 person", "{n} people"
ONE_FACE, MANY_FACES = "1 face", "{n} faces"

# adding
ADD_PERSON = "Add person"
ADD_LEAD = "Two or three photos from different days work best."
ADD_PHOTOS = "Add photos"
ADD_NAME = "Full name"
ADD_NAME_MISSING = "Write a name first."
ADD_FACES_MISSING = "Add at least one usable photo."
ADD_BUTTON = "Enrol"
ADD_DONE = "{name} is enrolled with {faces}."
ADD_OK = "Good photo"
ADD_POOR = "Not used"
ADD_USE_ANYWAY = "Use anyway"
ADD_REMOVE = "Remove"
ADD_ALIKE = "Looks like {name} ({probability} likely the same person)."
NAMESAKE_TITLE = "There is somebody called {name} already"
NAMESAKE_TEXT = (
    "If these are photos of the same person, add them. If they show somebody else of that name, "
    "cancel and write a name that tells the two apart."
)
NAMESAKE_GO = "Add to {name}"
TWICE_TITLE = "This may be {name}, who is enrolled already"
TWICE_TEXT = (
    "A search would take this face for {name} ({probability} likely the same person). Enrol it "
    "only if they are two people; otherwise cancel, and add the photos on the page of {name}."
)
TWICE_SAME_PHOTO = (
    "This face of this photo is enrolled as {name}. Enrol it only if they are two people; "
    "otherwise cancel, and add the photos on the page of {name}."
)
TWICE_NEW = "The face to be enrolled"
TWICE_GO = "Enrol anyway"
FACE_FROM = "Face found in {file}"
PICK_FACE = "{faces} faces may be the one meant. Choose one:"
PICK_MOST = "{faces} faces may be the one meant. Choose one of the {shown} largest:"
PICK_FROM = "Faces in {file}"
PICK_NUMBER = "Face {n} from the left"

# one person
PERSON_RENAME = "Rename"
PERSON_EXTERNAL_ID = "External id"
PERSON_EXTERNAL_ID_TEXT = "Their id in another system; nobody else of the collection has it."
PERSON_NEW_NAME = "New name"
PERSON_DELETE = "Delete for good"
PERSON_DELETE_TITLE = "Delete {name} for good?"
PERSON_DELETE_TEXT = (
    "All faces and numbers of this person are erased from the database and its log. "
    "This cannot be undone."
)
PERSON_DELETED = "{name} is deleted."
PERSON_FACES = "Faces"
PERSON_NO_FACES = "No face is enrolled. Add a photo."
PERSON_SINCE = "Since {day} · {faces}"
PERSON_ALIKE = "Who looks alike"
PERSON_ALIKE_NONE = "Nobody here looks alike."
PERSON_MERGED = "Merged with"
PERSON_MERGED_BY = "{day}, by {name}"
PERSON_UNMERGE = "Make two again"
PERSON_UNMERGE_TITLE = "Make {a} and {b} two people again?"
PERSON_UNMERGE_TEXT = "Faces and what was seen go back to whom they were of before."
FACE_DELETE = "Delete this face"
FACE_DELETE_TITLE = "Delete this face?"
FACE_DELETE_TEXT = "The picture and its numbers are erased."
FACE_DELETED = "The face is deleted."
FACE_OF = "Enrolled face of {name}"
FACE_ADDED = "Added to {name}."
FACE_EYES = "Eyes apart"
FACE_PIXELS = "{n:.0f} px"

# who looks alike
LIKELY = "{probability} likely one person"

# enrolling by camera
BY_CAMERA = "Camera"
POSES = {
    "straight": "Look straight into the camera",
    "left": "Turn your head a little to your left",
    "right": "Turn your head a little to your right",
}
POSE_DONE = "Done. Three pictures are taken."
POSE_FILE = "camera, {pose}"
POSE_NAMES = {"straight": "straight", "left": "to the left", "right": "to the right"}
POSE_HOLD = "Hold still…"
POSE_NOBODY = "Nobody is in the picture."
POSE_SEVERAL = "Only one person, please."
POSE_OTHER = "This is another person than before."
