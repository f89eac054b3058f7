"""A made-up Europeana: records, concepts and a small thesaurus, in the shapes of the real answers."""

import io
import random
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

from PIL import Image, ImageDraw

AAT = "http://vocab.getty.edu/aat/"
CONCEPT = "http://data.europeana.eu/concept/"
PHOTO = "http://bib.arts.kuleuven.be/photoVocabulary/"

# AAT: id -> kind, preferred parent, preferred labels by language (several where AAT has several).
NODES: dict[str, tuple[str, str | None, dict[str, list[str]]]] = {
    "300264092": ("Facet", None, {"en": ["Objects Facet"]}),
    "300264552": ("Hierarchy", "300264092", {"en": ["Visual and Verbal Communication (hierarchy name)"]}),
    "300179869": ("Hierarchy", "300264552", {"en": ["Visual Works (hierarchy name)"]}),
    "300191086": ("Concept", "300179869", {"en": ["visual works (works)"]}),
    "300191091": ("GuideTerm", "300191086", {"en": ["<visual works by material or technique>"]}),
    "300033618": ("Concept", "300191091", {"en": ["paintings (visual works)"], "es": ["pinturas"]}),
    "300041273": ("Concept", "300191091", {"en": ["prints (visual works)"], "nl": ["prenten"]}),
    "300041365": ("Concept", "300041273", {"en": ["etchings (prints)"], "nl": ["etsen"]}),
    "300046025": ("Concept", "300191091", {"en": ["medals"], "de": ["Medaillen"]}),
    "300264551": ("Hierarchy", "300264092", {"en": ["Furnishings and Equipment (hierarchy name)"]}),
    "300045611": ("Hierarchy", "300264551", {"en": ["Containers (hierarchy name)"]}),
    "300197197": ("Concept", "300045611", {"en": ["containers (receptacles)"]}),
    "300197200": ("GuideTerm", "300197197", {"en": ["<containers by function or context>"]}),
    "300132254": ("Concept", "300197200", {"en": ["vases"], "zh-hant": ["花瓶"]}),
    "300015637": ("Concept", "300191091", {"en": ["portraits"]}),
    "300015636": ("Concept", "300191091", {"en": ["landscapes (representations)"]}),
    "300264091": ("Facet", None, {"en": ["Materials Facet"]}),
    "300010357": ("Hierarchy", "300264091", {"en": ["Materials (hierarchy name)"]}),
    "300010358": ("Concept", "300010357", {"en": ["materials (substances)"]}),
    "300010360": ("Concept", "300010358", {"en": ["inorganic material"]}),
    "300010900": ("Concept", "300010360", {"en": ["metal"], "en-us": ["metal"], "nl": ["metaal"]}),
    "300010946": ("Concept", "300010900", {"en": ["copper alloy"]}),
    "300010957": ("Concept", "300010946", {"en": ["bronze (metal)", "bronze"], "nl": ["brons"]}),
    "300011029": ("Concept", "300010900", {"en": ["silver (metal)"], "es": ["plata"]}),
    "300265629": ("Concept", "300010358", {"en": ["biological material"]}),
    "300212963": ("Concept", "300265629", {"en": ["plant material"]}),
    "300011914": ("Concept", "300212963", {"en": ["wood (plant material)"], "zh": ["木 | $ 材"]}),
    "300014109": ("Concept", "300265629", {"en": ["paper (fiber product)"], "nl": ["papier"]}),
    "300264090": ("Facet", None, {"en": ["Activities Facet"]}),
    "300054134": ("Hierarchy", "300264090", {"en": ["Disciplines (hierarchy name)"]}),
    "300054419": ("Concept", "300054134", {"en": ["numismatics"]}),
    "300054328": ("Concept", "300054134", {"en": ["archaeology"]}),
    "300264088": ("Facet", None, {"en": ["Styles and Periods Facet"]}),
    "300021147": ("Concept", "300264088", {"en": ["Baroque"]}),
    "300900001": ("Concept", "300900002", {"en": ["hen"]}),
    "300900002": ("Concept", "300900001", {"en": ["egg"]}),
}

# AAT's other labels of a concept, and a word that two materials share.
ALTERNATIVES: dict[str, dict[str, list[str]]] = {
    "300132254": {"en": ["vase"]},
    "300010957": {"en": ["bronze alloy"], "es": ["bronce"]},
    "300011029": {"en": ["argentum"]},
    "300010946": {"en": ["argentum"]},
    "300011914": {"en": ["timber"]},
}

# Europeana's concepts: number -> labels by language, exact matches.
ENTITIES: dict[int, tuple[dict[str, str], list[str]]] = {
    10: (
        {"en": "Bronze", "ca": "Bronze", "ar": "برونز"},
        [f"{AAT}300010957", "http://www.wikidata.org/entity/Q34095"],
    ),
    11: ({"en": "Silver", "ca": "Argent"}, [f"{AAT}300011029"]),
    12: ({"en": "Paper", "ca": "Paper"}, [f"{AAT}300014109"]),
    13: ({"en": "Wood", "ca": "Fusta"}, [f"{AAT}300011914"]),
    20: ({"en": "Painting", "ca": "Pintura"}, [f"{AAT}300033618"]),
    21: ({"en": "Etching", "ca": "Aiguafort"}, [f"{AAT}300041365"]),
    22: ({"en": "Medal", "ca": "Medalla"}, [f"{AAT}300046025"]),
    23: ({"en": "Vase", "ca": "Gerro"}, [f"{AAT}300132254"]),
    30: ({"en": "Numismatics"}, [f"{AAT}300054419"]),
    31: ({"en": "Archaeology"}, [f"{AAT}300054328"]),
    40: ({"en": "Portrait"}, [f"{AAT}300015637"]),
    41: ({"en": "Landscape"}, [f"{AAT}300015636"]),
    50: ({"en": "Baroque"}, [f"{AAT}300021147"]),
    51: ({"en": "Sadness"}, ["http://www.wikidata.org/entity/Q169251"]),
    52: ({"en": "Hen"}, [f"{AAT}300900001"]),
    54: ({"en": "Ghost"}, [f"{AAT}300999999"]),
}
MATERIALS, TYPES, DISCIPLINES, SUBJECTS = (10, 11, 12, 13), (20, 21, 22, 23), (30, 31), (40, 41)
# What a record may mention that becomes no tag; 53 is an entity that the server does not know.
STRAY = (50, 51, 52, 53, 54)

_COLOURS = {10: (150, 100, 40), 11: (190, 190, 200), 12: (245, 240, 225), 13: (110, 70, 30)}
_TITLES = (
    "Sant Jordi i el drac",
    "Ἀθηνᾶ Παρθένος",
    "清明上河圖 🏮",
    'Das „Ding" an sich; mit, Komma',
    "الأندلس\u200f",
    "E\u0301tude\u2028in two\tlines",
    "🧑\u200d🎨 self",
    "half a pair \ud83d, and a\x00nothing\x85",
)


def uri(number: int) -> str:
    """A concept's URI, in the present form or (for odd numbers) in the older one."""
    return f"{CONCEPT}{'base/' if number % 2 else ''}{number}"


@dataclass(frozen=True)
class Record:
    """What record number i says."""

    number: int
    type: int
    material: int
    discipline: int | None
    subject: int | None
    stray: int | None

    @property
    def id(self) -> str:
        return f"/{900 + self.number % 7}/Item_{self.number:06d}"

    @property
    def provider(self) -> str:
        # A few large providers and many small ones, whatever the number of records.
        return f"Museum {self.organization}"

    @property
    def organization(self) -> int:
        return int(40 * (self.number * 7919 % 1000 / 1000) ** 2)

    @property
    def rights(self) -> str:
        return (
            "http://creativecommons.org/publicdomain/mark/1.0/",
            "http://creativecommons.org/licenses/by/4.0/",
        )[self.number % 2]

    @property
    def title(self) -> str:
        return f"{_TITLES[self.number % len(_TITLES)]} {self.number}"

    def original(self, base: str) -> str:
        return f"{base}/originals/{self.material}-{self.type}-{self.number}.jpg"

    @property
    def concepts(self) -> list[int]:
        said = [self.type, self.material, self.discipline, self.subject, self.stray]
        return [number for number in said if number is not None]


@lru_cache(maxsize=100_000)
def record(number: int) -> Record:
    """Record number i: the same in every process."""
    lot = random.Random(number)
    return Record(
        number,
        lot.choice(TYPES),
        lot.choice(MATERIALS),
        lot.choice(DISCIPLINES) if lot.random() < 0.3 else None,
        lot.choice(SUBJECTS) if lot.random() < 0.3 else None,
        lot.choice(STRAY) if lot.random() < 0.2 else None,
    )


def search_item(record: Record, base: str, key: str) -> dict[str, object]:
    """A search result, with the key echoed where the real answers echo it."""
    preview = f"{base}/thumbnail/v2/url.json?uri={quote(record.original(base), safe='')}&type=IMAGE"
    return {
        "completeness": 10,
        "country": ["Netherlands"],
        "dataProvider": [record.provider],
        "edmConcept": [uri(number) for number in record.concepts] if record.number % 11 else None,
        "edmConceptPrefLabelLangAware": {"en": ["in no order of the URIs"]},
        "edmIsShownBy": [record.original(base)],
        "edmPreview": [preview],
        "guid": f"https://www.europeana.eu/item{record.id}?utm_source=api&utm_campaign={key}",
        "id": record.id,
        "link": f"https://api.europeana.eu/record{record.id}.json?wskey={key}",
        "rights": [record.rights],
        "title": [record.title],
        "type": "IMAGE",
    }


def record_answer(record: Record, base: str, key: str) -> dict[str, object]:
    """A record in its envelope.

    Every 11th has no concepts, every 17th names a concept of AAT directly, every 7th its material in words.
    """
    provider = {
        "about": f"/proxy/provider{record.id}",
        "europeanaProxy": False,
        "edmType": "IMAGE",
        "dcType": {"def": [uri(record.type)], "en": [ENTITIES[record.type][0]["en"]]},
        "dctermsMedium": {"def": [uri(record.material)]},
        "dcSubject": {"def": [uri(n) for n in record.concepts[2:]], "nl": ["kustwacht"]},
    }
    if record.number % 11 == 0:
        provider |= {"dcType": {"def": ["Digitaal fotobestand"]}, "dctermsMedium": {}, "dcSubject": {}}
    elif record.number % 17 == 0:
        provider["dctermsMedium"] = {
            "def": [aat for aat in ENTITIES[record.material][1] if aat.startswith(AAT)]
        }
    elif record.number % 7 == 0:
        provider["dctermsMedium"] = {"en": [ENTITIES[record.material][0]["en"]]}
    concepts = [
        {
            "about": f"{PHOTO}12003",
            "prefLabel": {"en": ["Black-and-white negatives"]},
            "broader": [f"{PHOTO}12000"],
        }
    ]
    if record.number % 13 == 0:
        # A concept of another vocabulary, taken to AAT by Europeana's concept that names it.
        provider["dcFormat"] = {"def": [f"{PHOTO}99"]}
        concepts.append(
            {"about": uri(record.material), "prefLabel": {"en": ["any"]}, "exactMatch": [f"{PHOTO}99"]}
        )
    return {
        "apikey": key,
        "success": True,
        "requestNumber": 999,
        "object": {
            "about": record.id,
            "aggregations": [
                {
                    "about": f"/aggregation/provider{record.id}",
                    "edmDataProvider": {
                        "def": [f"http://data.europeana.eu/organization/{record.organization}"]
                    },
                    "edmIsShownBy": record.original(base),
                    "edmRights": {"def": [record.rights]},
                    "webResources": [
                        {
                            "about": record.original(base),
                            "textAttributionSnippet": f"{record.title} - {record.provider} - {record.rights}",
                            "ebucoreHasMimeType": "image/jpeg",
                        }
                    ],
                }
            ],
            "concepts": concepts,
            "organizations": [
                {
                    "about": f"http://data.europeana.eu/organization/{record.organization}",
                    "prefLabel": {"en": [record.provider]},
                }
            ],
            "proxies": [{"about": f"/proxy/europeana{record.id}", "europeanaProxy": True}, provider],
        },
    }


def entity_answer(number: int) -> dict[str, object] | None:
    """An entity, None where there is none of that number."""
    if number not in ENTITIES:
        return None
    labels, matches = ENTITIES[number]
    return {"id": f"{CONCEPT}{number}", "type": "Concept", "prefLabel": labels, "exactMatch": matches}


def sparql_answer(ids: list[str]) -> dict[str, object]:
    """The SPARQL endpoint's bindings for kind, parent and labels of some ids."""
    ontology = "http://vocab.getty.edu/ontology#"
    rows = []
    for aat in ids:
        if aat not in NODES:
            continue
        kind, parent, labels = NODES[aat]
        concept = {"type": "uri", "value": f"{AAT}{aat}"}
        for name in (kind, "Subject"):
            rows.append({"concept": concept, "type": {"type": "uri", "value": f"{ontology}{name}"}})
        if parent:
            rows.append({"concept": concept, "parent": {"type": "uri", "value": f"{AAT}{parent}"}})
        for language, texts in labels.items():
            for text in texts:
                label = {"type": "literal", "xml:lang": language, "value": text}
                rows.append({"concept": concept, "label": label})
        for language, texts in ALTERNATIVES.get(aat, {}).items():
            for text in texts:
                label = {"type": "literal", "xml:lang": language, "value": text}
                rows.append({"concept": concept, "other": label})
    return {"head": {"vars": ["concept", "type", "parent", "label", "other"]}, "results": {"bindings": rows}}


def reconcile_answer(queries: dict[str, dict[str, object]]) -> dict[str, object]:
    """The reconciliation service's answer: every concept with a word of the name in a label, best first."""
    answer = {}
    for key, query in queries.items():
        name = str(query["query"]).casefold()
        found = []
        for aat, (_, _, labels) in NODES.items():
            texts = [
                text
                for group in (labels, ALTERNATIVES.get(aat, {}))
                for every in group.values()
                for text in every
            ]
            if score := max(
                ((100 if name == text.casefold() else 40) for text in texts if name in text.casefold()),
                default=0,
            ):
                result = {"id": f"aat/{aat}", "name": texts[0], "score": score, "match": False}
                found.append(result | {"type": [{"id": "/aat", "name": "Art & Architecture Thesaurus"}]})
        answer[key] = {"result": sorted(found, key=lambda result: -result["score"])}
    return answer


@lru_cache(maxsize=10_000)
def picture(name: str) -> bytes:
    """The JPEG called MATERIAL-TYPE-NUMBER.jpg: the material is its colour, the type its shape."""
    material, kind, number = (int(part) for part in name.removesuffix(".jpg").split("-"))
    image = Image.new("RGB", (96, 96), (90, 110, 140))
    draw = ImageDraw.Draw(image)
    left, top = 10 + number % 9, 10 + number % 7
    box = (left, top, left + 60, top + 60)
    colour = _COLOURS[material]
    match kind:
        case 20:
            draw.rectangle(box, fill=colour, outline=(20, 20, 20), width=6)
        case 21:
            for offset in range(0, 60, 8):
                draw.line((left, top + offset, left + 60, top + offset), fill=colour, width=3)
        case 22:
            draw.ellipse(box, fill=colour)
        case _:
            draw.polygon([(left, top), (left + 60, top), (left + 30, top + 60)], fill=colour)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", comment=name.encode())
    return buffer.getvalue()
