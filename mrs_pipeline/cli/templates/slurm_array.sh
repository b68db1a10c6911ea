#!/bin/bash
# mrs-pipeline on SLURM: one participant a task, then the group level once every task has ended, failed ones included.
#
#   bash slurm_array.sh          submits both jobs and prints their numbers
#
# SLURM runs this same file as "participant" and as "group"; nothing but the settings needs to be edited.
# Exit codes of all participants end up in $LOG_DIR/exit-codes.tsv.
set -euo pipefail

# ---- settings ----------------------------------------------------------------------------------------------------
# Folders must be visible to every node. LOG_DIR/participants.txt holds one label a line; it is made from BIDS_DIR
# when it is not there.
BIDS_DIR=/data/bids
OUT_DIR=/data/derivatives/mrs-pipeline
LOG_DIR=/data/derivatives/mrs-pipeline/logs/slurm
# The command; in a container for example (apptainer run --cleanenv --bind /data mrs-pipeline.sif).
RUN=(mrs-pipeline run)
# Options of both levels, and of the participant level alone.
OPTIONS=()
PARTICIPANT_OPTIONS=()
# What SLURM is asked for: in both jobs, for each participant, for the group level.
SBATCH=(--partition=main)
PARTICIPANT_RESOURCES=(--time=02:00:00 --mem=4G --cpus-per-task=1)
GROUP_RESOURCES=(--time=01:00:00 --mem=4G --cpus-per-task=1)
# Tasks that may run at the same time.
ARRAY_LIMIT=50
# yes: the group level follows; no: participants only.
GROUP=yes
# ------------------------------------------------------------------------------------------------------------------

# One thread a process: participants run side by side, a fit does not gain from threads, and results stay the same.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS=1

list_participants() {
    find "$BIDS_DIR" -mindepth 1 -maxdepth 1 -type d -name 'sub-*' -printf '%f\n' | sed 's/^sub-//' | LC_ALL=C sort
}

participant() {
    local label code=0
    label=$(sed -n "${SLURM_ARRAY_TASK_ID}p" "$LOG_DIR/participants.txt")
    "${RUN[@]}" "$BIDS_DIR" "$OUT_DIR" participant --participant-label "$label" \
        ${OPTIONS[@]+"${OPTIONS[@]}"} ${PARTICIPANT_OPTIONS[@]+"${PARTICIPANT_OPTIONS[@]}"} || code=$?
    echo "$code" > "$LOG_DIR/codes/$label.tmp"
    mv "$LOG_DIR/codes/$label.tmp" "$LOG_DIR/codes/$label"
    return "$code"
}

# Writes exit-codes.tsv, prints a summary, and fails when a participant did.
summarise() {
    local label code failed=() lost=() total=0
    printf 'participant_id\texit_code\n' > "$LOG_DIR/exit-codes.tsv"
    while read -r label; do
        total=$((total + 1))
        code=$(cat "$LOG_DIR/codes/$label" 2>/dev/null || echo n/a)
        printf 'sub-%s\t%s\n' "$label" "$code" >> "$LOG_DIR/exit-codes.tsv"
        case $code in
            0) ;;
            n/a) lost+=("$label") ;;
            *) failed+=("$label ($code)") ;;
        esac
    done < "$LOG_DIR/participants.txt"
    echo "participants: $total, without error: $((total - ${#failed[@]} - ${#lost[@]})), failed: ${#failed[@]}, killed: ${#lost[@]}"
    [ ${#failed[@]} -eq 0 ] || echo "failed (exit code; 1: some scans failed, 2: usage or study file): ${failed[*]}"
    [ ${#lost[@]} -eq 0 ] || echo "ended without an exit code (time or memory limit, or cancelled): ${lost[*]}"
    [ $((${#failed[@]} + ${#lost[@]})) -eq 0 ]
}

group() {
    local code=0 participants=0
    summarise || participants=1
    "${RUN[@]}" "$BIDS_DIR" "$OUT_DIR" group ${OPTIONS[@]+"${OPTIONS[@]}"} || code=$?
    echo "group level: exit code $code"
    [ "$code" -ne 0 ] || code=$participants
    return "$code"
}

submit() {
    local script total array after
    script=$(readlink -f "$0")
    mkdir -p "$LOG_DIR/codes"
    [ -s "$LOG_DIR/participants.txt" ] || list_participants > "$LOG_DIR/participants.txt"
    total=$(wc -l < "$LOG_DIR/participants.txt")
    [ "$total" -gt 0 ] || { echo "no participants in $BIDS_DIR" >&2; return 2; }
    find "$LOG_DIR/codes" -type f -delete
    array=$(sbatch --parsable --job-name=mrs-participant --array="1-$total%$ARRAY_LIMIT" \
        --output="$LOG_DIR/participant-%A_%a.log" ${SBATCH[@]+"${SBATCH[@]}"} \
        ${PARTICIPANT_RESOURCES[@]+"${PARTICIPANT_RESOURCES[@]}"} "$script" participant)
    array=${array%%;*}
    echo "participant job $array: $total tasks, at most $ARRAY_LIMIT at a time"
    [ "$GROUP" = yes ] || return 0
    after=$(sbatch --parsable --job-name=mrs-group --dependency="afterany:$array" \
        --output="$LOG_DIR/group-%j.log" ${SBATCH[@]+"${SBATCH[@]}"} \
        ${GROUP_RESOURCES[@]+"${GROUP_RESOURCES[@]}"} "$script" group)
    echo "group job ${after%%;*}: starts when the last task has ended"
}

case ${1:-submit} in
    submit | participant | group) "${1:-submit}" ;;
    *) echo "usage: bash $0 [submit]" >&2; exit 2 ;;
esac
