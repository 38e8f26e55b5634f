"""Which tickers in different notations are the same: `BRK.B`, `BRK-B`, `BRK/B US`; `7203.T`, `7203 JP`.

A name is a base, perhaps a share class, and a country. Bases are compared without case, `*` and a trailing `/`; `.`,
`-`, `/`, `_` and blanks part the class alike. The country is the code after the last blank (Bloomberg's or ISO's) or a
vendor's suffix after the last dot; a name without either is of the US.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

# ISO country: Bloomberg's codes; suffixes of Yahoo, EODHD, Alpha Vantage and others.
_COUNTRIES: Mapping[str, tuple[str, str]] = {
    "AE": ("UH DH", "AE"),
    "AT": ("AV", "VI"),
    "AU": ("AU AT", "AX AU"),
    "BE": ("BB", "BR BRU"),
    "BR": ("BZ BS", "SA SAO"),
    "CA": ("CN CA CT", "TO TRT NE V"),
    "CH": ("SW SE VX", "SW"),
    "CL": ("CI CC", "SN"),
    "CN": ("CH C1 C2 CG CS", "SS SZ SHG SHE"),
    "CO": ("CB CX", "CL"),
    "CZ": ("CP CK", "PR"),
    "DE": ("GR GY GF", "DE XETRA DEX F"),
    "DK": ("DC", "CO"),
    "EG": ("EY", "CA EGX"),
    "ES": ("SM SQ", "MC"),
    "FI": ("FH", "HE"),
    "FR": ("FP", "PA PAR"),
    "GB": ("LN", "L LON LSE IL"),
    "GR": ("GA", "AT"),
    "HK": ("HK", "HK"),
    "HU": ("HB", "BD BUD"),
    "ID": ("IJ", "JK"),
    "IE": ("ID", "IR"),
    "IL": ("IT", "TA"),
    "IN": ("IN IS IB", "NS BO NSE BSE"),
    "IT": ("IM", "MI"),
    "JP": ("JP JT", "T TSE"),
    "KR": ("KS KP KQ", "KS KQ KO"),
    "MX": ("MM MF", "MX"),
    "MY": ("MK", "KL KLSE"),
    "NL": ("NA", "AS AMS"),
    "NO": ("NO", "OL"),
    "NZ": ("NZ", "NZ"),
    "PE": ("PE", "LM"),
    "PH": ("PM", "PSE"),
    "PL": ("PW", "WA WAR"),
    "PT": ("PL", "LS LIS"),
    "QA": ("QD", "QA"),
    "RU": ("RM RX", "ME MCX"),
    "SA": ("AB", "SR"),
    "SE": ("SS", "ST"),
    "SG": ("SP", "SI"),
    "TH": ("TB", "BK"),
    "TR": ("TI", "IS"),
    "TW": ("TT", "TW TWO"),
    "US": ("US UN UW UQ UA UR UP UV", "US"),
    "ZA": ("SJ", "JO JSE"),
}
_BLOOMBERG = {code: country for country, (codes, _) in _COUNTRIES.items() for code in codes.split()}
_SUFFIX = {suffix: country for country, (_, suffixes) in _COUNTRIES.items() for suffix in suffixes.split()}
_JOINED = ("DK", "FI", "NO", "SE")  # countries in which Bloomberg writes a class without a sign before it
_CLASS = re.compile(r"[./_\-\s]+")
_KIND = re.compile(r"\s+EQUITY$")  # AAPL US Equity


def keys(names: Iterable[str]) -> dict[str, str]:
    """Name -> what it has in common with other notations of the same ticker: `BASE.CLASS COUNTRY`.

    Some codes are one country of Bloomberg's and another of ISO's (CN is Canada and China). All names are of one kind:
    the one of which more names have codes that are its own.
    """
    names = list(dict.fromkeys(names))
    codes = [code for name in names if (code := _code(name))]
    bloomberg = sum(code in _BLOOMBERG and code not in _COUNTRIES for code in codes)
    iso = sum(code in _COUNTRIES and code not in _BLOOMBERG for code in codes)
    first, second = (_BLOOMBERG, {}) if bloomberg > iso else ({code: code for code in _COUNTRIES}, _BLOOMBERG)
    return {name: _key(name, {**second, **first}) for name in names}


def _plain(name: str) -> str:
    return _KIND.sub("", name.strip().upper())


def _code(name: str) -> str | None:
    _, blank, code = _plain(name).rpartition(" ")
    return code if blank else None


def _key(name: str, countries: Mapping[str, str]) -> str:
    text, country = _plain(name), "US"
    base, blank, code = text.rpartition(" ")
    if blank and code in countries:
        text, country = base, countries[code]
    elif not blank:
        base, dot, suffix = text.rpartition(".")
        if dot and base and suffix in _SUFFIX:
            text, country = base, _SUFFIX[suffix]
    base = _CLASS.sub(".", text.replace("*", "")).strip(".")
    if country == "HK" and base.isdigit():
        base = base.lstrip("0")  # 5 HK is 0005.HK
    if country in _JOINED:
        base = base.replace(".", "")  # ERICB SS is ERIC-B.ST
    return f"{base} {country}"
