#!/usr/bin/env bash
# The table of the EUFCC-340K paper from nothing: annotations, images, eight trainings, eleven rows. Stopped and
# started again, it continues where it was.
#
#   scripts/paper.sh ROOT              the real dataset, revision original: what `make paper` runs
#   scripts/paper.sh ROOT --demo ARGS  the same on the drawn collection, small networks; ARGS go to every `train`
set -euo pipefail

root=${1:?usage: scripts/paper.sh ROOT [--demo [TRAIN OPTIONS]]}
shift
demo=false
if [[ ${1:-} == --demo ]]; then demo=true; shift; fi
extra=("$@")
vision=(multilabel softmax softmax-wce hsoftmax-levels hsoftmax-nodes)
clip=(clip-1-tag clip-all-tags clip-1-tag-prompt)

run() { printf '$ eufcc %s\n' "$*" >&2; eufcc "$@"; }

finished() { [[ -f $root/runs/$1/config.json ]] && grep -q '"finished": true' "$root/runs/$1/config.json"; }

train() { # METHOD OPTIONS…
  local method=$1; shift
  if finished "$method"; then return; fi
  if [[ -d $root/runs/$method ]]; then run --root "$root" train --name "$method" --resume
  else run --root "$root" train --config "recipe:eufcc-340k/$method" --name "$method" "$@"; fi
}

if $demo; then
  [[ -f $root/data/train.csv ]] || run --root "$root" fetch demo --images 400
else
  [[ -f $root/data/test_ood.csv ]] || run --root "$root" fetch --revision original
fi
run --root "$root" download || [[ $? == 3 ]] # images that are gone from their hosts are counted, not fatal

for method in "${vision[@]}"; do
  if $demo; then train "$method" --backbone convnext_mini --no-pretrained --image-size 32 --optimizer auto --lr 5e-3 "${extra[@]}"
  else train "$method" "${extra[@]}"; fi
done
for method in "${clip[@]}"; do
  if $demo; then train "$method" --backbone clip_mini --no-pretrained --lr 2e-3 "${extra[@]}"
  else train "$method" "${extra[@]}"; fi
done

models=("${vision[@]}" softmax+multilabel "${clip[@]}" multilabel+softmax+clip-1-tag)
$demo || models+=(clip:ViT-B-32/openai)
run --root "$root" evaluate "${models[@]}" --split test_id --split test_ood --compare paper --bootstrap 1000 \
  --html "$root/paper.html"
