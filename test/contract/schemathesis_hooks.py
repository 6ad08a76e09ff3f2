"""What schemathesis takes for an invalid request, and sends as a valid one, is not sent."""

from urllib.parse import parse_qsl, urlsplit

import requests
import schemathesis


@schemathesis.hook.apply_to(method="GET", path="/v1/jobs")
def filter_case(context, case):
    """In a query `metadata[name]` is text, whatever it is made of: a list of one is sent as what is in it, an empty one
    not at all. schemathesis sees that of plain parameters, and not of those of the style `deepObject`. What the service
    can tell from text, nested and repeated names and `metadata[]`, is sent and must be refused.
    """
    mutations = getattr(case.meta.phase.data, "mutations", None) if case.meta else None
    if not any(mutation.parameter == "metadata" for mutation in mutations or ()):
        return True
    arguments = case.as_transport_kwargs(base_url="http://localhost")
    url = requests.Request("GET", arguments["url"], params=arguments["params"]).prepare().url
    names = [name for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True) if name.startswith("metadata")]
    return len(set(names)) < len(names) or not all(map(is_pair, names))


def is_pair(name):
    """Whether it is `metadata[name]`, neither nested nor without a name."""
    return name.startswith("metadata[") and name.endswith("]") and name != "metadata[]" and "][" not in name
