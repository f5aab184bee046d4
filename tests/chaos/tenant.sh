# What a tenant's pod does: search all of its volume for others' secrets, look whether all of its own is there,
# write it all over the volume if it is not, and then look again and again until it is told to end.
#
# ME, and PLACE, a folder or a device; REPORTS, a folder outside the volume
# PIECE_MB, MOST, FILL_S: how large a piece is, how many there are at most, how long writing them may take
# LOOK_S: between two looks; SURE_S: before what is missed is looked for once more
report() { echo "$(date +%s) $*" >> "$REPORTS/of/$ME"; }

size() { blockdev --getsize64 "$PLACE" 2>/dev/null || stat -c %s "$PLACE"; }

# Each sector of a piece says whose it is, and which.
text() { # NUMBER BYTES
  yes "$(printf '%-511s' "S3CRET-$ME piece $1")" | head -c "$2"
}

# By the disk and not by what is kept in memory, which goes on to show what was overwritten below it.
piece() { # NUMBER
  if [ -d "$PLACE" ]; then dd if="$PLACE/piece-$1" bs=1M $direct
  else dd if="$PLACE" bs=1M skip=$(($1 * PIECE_MB)) count="$PIECE_MB" $direct; fi 2>/dev/null
}

write_files() {
  mkdir -p "$PLACE/.hidden/S3CRET-$ME.folder"
  echo "S3CRET-$ME" > "$PLACE/.dot"
  echo "S3CRET-$ME" > "$PLACE/.hidden/S3CRET-$ME.folder/deep"
  ln -sfn "S3CRET-$ME.target" "$PLACE/link"
  i=0
  while [ $i -lt 300 ]; do echo "S3CRET-$ME small $i" > "$PLACE/small-$i"; i=$((i + 1)); done
  (cd "$PLACE" && find . -type f ! -name 'piece-*' -exec md5sum {} +) > "$sums.small"
  [ "$(wc -l < "$sums.small")" -ge 302 ] || return 1

  free=$(stat -f -c '%a %S' "$PLACE")
  count=$((${free% *} * ${free#* } / 4 * 3 / (PIECE_MB << 20)))
  [ $count -lt "$MOST" ] || count=$MOST
  until=$(($(date +%s) + FILL_S)); k=0
  while [ $k -lt $count ] && { [ $k = 0 ] || [ "$(date +%s)" -le $until ]; }; do
    text $k $((PIECE_MB << 20)) | dd of="$PLACE/piece-$k" bs=1M iflag=fullblock conv=fsync 2>/dev/null || return 1
    echo "$k $(text $k $((PIECE_MB << 20)) | md5sum)" >> "$sums.new"
    k=$((k + 1))
  done
  sync -f "$PLACE"
}

write_device() {
  left=$(size) k=0
  while [ "$left" -gt 0 ]; do
    bytes=$((PIECE_MB << 20)); [ "$left" -gt $bytes ] || bytes=$left
    text $k $bytes | dd of="$PLACE" bs=1M seek=$((k * PIECE_MB)) iflag=fullblock conv=notrunc,fsync 2>/dev/null \
      || return 1
    echo "$k $(text $k $bytes | md5sum)" >> "$sums.new"
    left=$((left - bytes)) k=$((k + 1))
  done
}

write() {
  rm -rf "$sums" "$sums.new" "$sums.small"
  if [ -d "$PLACE" ]; then write_files; else write_device; fi || return 1
  mv "$sums.new" "$sums"
}

# Sets own: yes, or how much of what was written is not there word for word.
compare() { # all | FIRST of the two pieces to read
  right=0 wrong=0
  say() { if [ "$1" = 0 ]; then right=$((right + 1)); else wrong=$((wrong + 1)); fi; }
  if [ -d "$PLACE" ]; then
    (cd "$PLACE" && md5sum -c -s "$sums.small") 2>/dev/null; say $?
    [ -d "$PLACE/.hidden/S3CRET-$ME.folder" ] && [ "$(readlink "$PLACE/link")" = "S3CRET-$ME.target" ]; say $?
  fi
  direct=iflag=direct
  piece 0 > /dev/null || direct=  # a file system that cannot
  while read -r k sum; do
    [ "$1" = all ] || [ "$k" = "$1" ] || [ "$k" = $(($1 + 1)) ] || continue
    [ "$(piece "$k" | md5sum)" = "$sum" ]; say $?
  done < "$sums"
  case $wrong:$right in 0:0) own=no;; 0:*) own=yes;; *:0) own=no;; *) own="part wrong=$wrong right=$right";; esac
}

# Twice before it is believed: who is being killed may see his helpers die before him. What is lost stays so.
look() { # as compare
  if [ ! -s "$sums" ]; then own=none; return; fi
  compare "$1"
  [ "$own" = yes ] || { sleep "$SURE_S"; compare "$1"; }
}

begun=$(date +%s) leave='' own='' nap=''
# Told to leave between the question whether it was and its nap, it would sleep on: whoever is told ends the nap.
trap 'leave=1; [ -z "$nap" ] || kill "$nap" 2>/dev/null' TERM
mkdir -p "$REPORTS/of" "$REPORTS/sums"
sums=$REPORTS/sums/$ME

for one in $(secrets); do [ "$one" = "S3CRET-$ME" ] || report "leak $one"; done
look all
echo "$begun started own=$own" >> "$REPORTS/of/$ME"
if [ "$own" != yes ]; then
  write && look all
  [ "$own" = yes ] || { report unwritten; exit 1; }
  report wrote
fi
[ -n "$LOOK_S" ] || exit 0

pieces=$(wc -l < "$sums") turn=0
while [ -z "$leave" ]; do
  sleep "$LOOK_S" & nap=$!
  [ -n "$leave" ] || wait "$nap"
  [ -z "$leave" ] || break
  look $turn
  report "saw own=$own"
  turn=$(((turn + 2) % (pieces + pieces % 2)))
done
kill "$nap" 2>/dev/null
look all
report "saw own=$own"
