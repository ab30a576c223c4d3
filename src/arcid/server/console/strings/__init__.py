"""Every word the console shows, by subject; ``{…}`` is filled in by ``str.format``.

Pages say ``S.NAME``, wherever the name is written down.
"""

from arcid.server.console.strings.accounts import *  # noqa: F403
from arcid.server.console.strings.attendance import *  # noqa: F403
from arcid.server.console.strings.audit import *  # noqa: F403
from arcid.server.console.strings.cameras import *  # noqa: F403
from arcid.server.console.strings.common import *  # noqa: F403
from arcid.server.console.strings.doors import *  # noqa: F403
from arcid.server.console.strings.duplicates import *  # noqa: F403
from arcid.server.console.strings.formats import *  # noqa: F403
from arcid.server.console.strings.importing import *  # noqa: F403
from arcid.server.console.strings.keys import *  # noqa: F403
from arcid.server.console.strings.kiosk import *  # noqa: F403
from arcid.server.console.strings.models import *  # noqa: F403
from arcid.server.console.strings.onboarding import *  # noqa: F403
from arcid.server.console.strings.overview import *  # noqa: F403
from arcid.server.console.strings.people import *  # noqa: F403
from arcid.server.console.strings.privacy import *  # noqa: F403
from arcid.server.console.strings.search import *  # noqa: F403
from arcid.server.console.strings.service import *  # noqa: F403
from arcid.server.console.strings.watchlists import *  # noqa: F403
from arcid.server.console.strings.webhooks import *  # noqa: F403
