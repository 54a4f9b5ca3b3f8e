"""The families by what is known of them."""

from __future__ import annotations

from problems import FAMILIES

CHAINED = [name for name in FAMILIES if name.startswith("levy-") and "-gauss-" not in name]
"""Those whose posterior is known by draws of Markov chains, which take seconds and differ between machines."""
KNOWN = [name for name, family in FAMILIES.items() if "posterior" in family.provides and name not in CHAINED]
"""The others with an exact posterior."""
MODELLED = [name for name in KNOWN if "prior_log_prob" in FAMILIES[name].provides]
"""Those of them whose samplers get the prior that the posterior belongs to."""
CONDITIONED = [name for name in MODELLED if name not in ("gmm-bipsda-xray", "gmm-bipsda-phase")]
"""Those of them whose posterior is computed, and not known by draws."""
CLOSED = [name for name in CONDITIONED if not name.startswith("atoms-") and name != "gaussian-field-64-inpaint"]
"""Linear measurements with Gaussian noise, to which the prior is conjugate; the posterior is diagonal in a basis."""
LEARNED = [name for name, family in FAMILIES.items() if "posterior" not in family.provides]
"""Those with a network as prior and no posterior."""
