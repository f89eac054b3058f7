"""Guesses of what a column holds, for the column names that collection systems write."""

from pathlib import Path

import pytest

from eufcc_cli.core.dataset.museum.columns import complete
from eufcc_cli.core.dataset.museum.profile import Profile
from eufcc_cli.core.dataset.museum.readers.export import Dialect, Export, text_frame

ROWS = 40
VALUES = {
    "id": [f"1913.{i}" for i in range(ROWS)],
    "photo": [f"1913-{i}.jpg" for i in range(ROWS)],
    "provider": ["Museum of X"] * ROWS,
    "title": ["Study of a head", "Untitled"] * (ROWS // 2),
    "objectTypes": ["coin", "cup"] * (ROWS // 2),
    "materials": ["bronze", "silver"] * (ROWS // 2),
    "classifications": ["Prints", "Coins"] * (ROWS // 2),
    "subjects": ["ships", ""] * (ROWS // 2),
    "-": [str(1000 + i) for i in range(ROWS)],  # a number of the database, or a size: none of these
}

SYSTEMS = {
    "Axiell": "- priref; id object_number; provider institution.name; title title; objectTypes object_name;"
    "classifications object_category; materials material; subjects content.subject;"
    "photo reproduction.reference",
    "CollectiveAccess": "- ca_objects.object_id; id ca_objects.idno; objectTypes ca_objects.type_id;"
    "title ca_objects.preferred_labels.name; materials ca_objects.materials",
    "Omeka S": "- o:id; - o:resource_template; title dcterms:title; id dcterms:identifier;"
    "objectTypes dcterms:type; materials dcterms:medium; subjects dcterms:subject; photo o:media",
    "Omeka Classic": "- itemId; title Dublin Core:Title; subjects Dublin Core:Subject; photo file;"
    "id Dublin Core:Identifier; objectTypes Dublin Core:Type; materials Dublin Core:Format",
    "TMS": "- ObjectID; id ObjectNumber; classifications Classification; objectTypes ObjectName; title Title;"
    "materials Medium; - Dimensions; photo PrimaryImage",
    "PastPerfect": "id OBJECTID; objectTypes OBJNAME; title TITLE; materials MATERIAL; subjects SUBJECTS;"
    "photo IMAGEFILE",
    "Joconde": "id INV; classifications DOMN; objectTypes DENO; title TITR; materials MATR; subjects REPR;"
    "provider MUSEO; photo IMG",
    "German": "id Inv. Nr.; objectTypes Objekt; title Titel/Bezeichnung; materials Material/Technik;"
    "- Objektmaße; photo Foto",
    "numbered": "id Accession number; objectTypes Object; materials Material 1; materials Material 2",
    "MuseumPlus": "id Objekt-Nr.; objectTypes Objektbezeichnung; title Titel; materials Material/Technik;"
    "photo Foto 1; photo Foto 2",
    "two photographs": "id Object ID; objectTypes Object Name; photo Image1; photo Image2",
    "Cleveland": "- id; id accession_number; title title; materials technique; objectTypes type;"
    "classifications department; photo image_web",
    "Chicago": "- id; id main_reference_number; title title; materials medium_display;"
    "objectTypes artwork_type_title",
    "French": "id N° inv.; objectTypes Désignation; materials Matière(s); provider Établissement;photo Photo",
    "Spanish": "id Nº Inventario; objectTypes Objeto/Documento; title Título; materials Materia/Soporte;"
    "provider Museo; subjects Descriptores; photo Imagen",
    "Catalan": "id Núm. inventari; objectTypes Nom de l'objecte; materials Materials i tècniques;"
    "provider Museu; photo Fitxer",
    "Dutch": "- priref; id Inventarisnummer; objectTypes Objecttrefwoord; materials Materiaaltrefwoord;"
    "subjects Onderwerpstrefwoord; photo Bestandsnaam",
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_columns_of_collection_systems(system: str) -> None:
    pairs = [text.strip().split(" ", 1) for text in SYSTEMS[system].split(";")]
    columns = [column for _, column in pairs]
    frame = text_frame(columns, [VALUES[role] for role, _ in pairs])
    _, guesses = complete(Profile(), Export((Path("export.csv"),), frame, tuple(columns), Dialect("csv")))
    assert {(guess.role, guess.column) for guess in guesses} == {
        (role, column) for role, column in pairs if role != "-"
    }
