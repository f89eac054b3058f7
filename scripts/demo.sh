#!/usr/bin/env bash
# The main job from beginning to end, offline: what `make demo` runs. Every command it shows is the one
# that it gives.
set -euo pipefail

root=${1:-demo}
bold='' plain=''
if [[ -t 1 && -z ${NO_COLOR:-} ]]; then bold=$'\033[1m' plain=$'\033[0m'; fi

step() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
run() {
  printf '%s$ eufcc %s%s\n' "$bold" "$*" "$plain"
  eufcc "$@"
}

step "1. Draw a miniature collection: pictures by made-up museums, annotated like EUFCC-340K"
run --root "$root" fetch demo

step "2. Find every image there, verify it, and note it in the ledger"
run --root "$root" download

step "3. Read the annotations: the tags, their hierarchy, and how many images have each"
run --root "$root" trees --counts --facet materials

step "4. Train: heads for each facet, on features of a pretrained network"
run --root "$root" train --name demo --tune head --backbone tf_efficientnet_lite0 --overwrite

step "5. Measure it: on images of the same museums (test_id), and of museums that are not in train (test_ood)"
run --root "$root" evaluate demo --split test_id --split test_ood

step "6. Tag three test images, the first with several objects"
mapfile -t images < <(eufcc --quiet --root "$root" fetch demo)
run --root "$root" tag "${images[@]}" --model demo --format table

cat <<END

Done. The collection is in $root/, the model in $root/runs/demo/. Next:
  look at the pictures   $root/data/images/
  tag an image           eufcc --root $root tag IMAGE
  learn from scratch     eufcc --root $root train --backbone convnext_mini --no-pretrained --time-budget 90
  your own collection    see README.md
END
