# Every secret that lies in PLACE, a folder or a device: in what files hold, in their names, in where links lead.
LC_ALL=C; export LC_ALL
everything() {
  [ -d "$PLACE" ] || { cat "$PLACE"; return; }
  find "$PLACE" -type f -exec cat {} +
  echo
  find "$PLACE" -mindepth 1
  find "$PLACE" -type l -exec readlink {} \;
}
# A line that begins with a zero byte would end there.
secrets() { everything | tr '\000' '\n' | grep -oE 'S3CRET-[a-z0-9-]+' | uniq | sort -u; }
