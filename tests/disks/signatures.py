"""What tools that are not installed everywhere write onto a disk, cut down to what libblkid goes by.

Each was made by the real tool on an empty disk of 320 MiB, but for those that need a kernel which has their
driver: these are made up by the format's definition. Real `blkid -p` reads them all in the tests.
"""

from __future__ import annotations

import base64
import struct
import zlib

from tests.disks.bench import SIZE_BYTES

Parts = tuple[tuple[int, bytes], ...]


def _packed(start: int, text: str) -> Parts:
    return ((start, zlib.decompress(base64.b85decode(text))),)


SIGNATURES: dict[str, Parts] = {
    # pvcreate 2.03.16
    "LVM2_member": _packed(
        512,
        "c-r%EbaM6a_j6@rfPh7Nd~+0lv`?6?k%EDNVRC_CWTC&ak70^upjUc&YI$;)TTq!>Sejv)ab8G~7f`7P"
        "M5h1)UI3H+z>ig$2>|bb5@G",
    ),
    # cryptsetup luksFormat 2.6.1
    "crypto_LUKS": _packed(
        0,
        "c-r#`^$y;(kAaB+3>+AsfSG|rP@IuyWNL<6zG8Mv!)gl-KBx4*7J(my_f4BFlf~%FmSD3>>*Q$xABIf6"
        "Ll-|YOU0EIZV=lUS~Df{@PU02YwoE}<#+ozpQp9T*fhy9+1T7nH#ybFT-PMcz(m&~)zDHm(abEx!o<iT"
        "F~!`FVFUut0;ac9xDJ2J+G=Q<q&jc;O^f+Lhpm5J&wJ{&D|PXjdI09EIqL",
    ),
    # mkfs.gfs2 3.5.0
    "gfs2": _packed(
        65536,
        "c-mtWlPq9hU|?iGfD{PD&IQCd5Vin_;6YNu1fe)27_bAVT29rR{N(KTl$=}!GC{Ic8UroCKK7fIg08MgU3qKYd3Row1OUTy4Kn",
    ),
    # mkfs.ocfs2 1.8.7
    "ocfs2": _packed(
        0,
        "c-muPf`F2Y%wh!~O3YKpPfjZ~QYg#MDa}n~V4@QkX!}ROz{S&O+>e4$FbYNi{ei!;TX2{W1497Q`bqzR"
        "fB^&?7#XkuLnQXYNcL=G8U~oq^nlD|pecv~Vi62?fdDfQM{H+c0QrU!D#nFG^Dsc<K3Dsduu#c05=&So"
        "JelKuc+u_0%6!>J%W*0MTD<ZsN6;y&2iLV0RIoCPf>AIEM!_f;1#|@NLH?lu28Ij=m>J|MIWg;NekhHr"
        "e*8ZQM!_Hg^#FQ1<F^",
    ),
    # make-bcache 1.0.8
    "bcache": _packed(
        4096,
        "c-s4-Sv(`OpYJ>e0|YQa>0_<M-~6OpPc@}}t@qfK+vsZ@JyG+QkH+$ek=DJuS6Aq@>}`J8<?cIo+jRCvcUavS1_%J%%K`w4<Qq@",
    ),
    # by hand, after mdp_superblock_1
    "linux_raid_member": _packed(
        4096,
        "c-s5pr@fMq0Rg(4*RH>$E^53m@q9!$=d-yPRt60C03#ZGK%EmV$HYJc;6T;K!9X40zWr$v00UMI!2",
    ),
    # vdev_label_t: an uberblock's magic, several times
    "zfs_member": tuple(
        (start, struct.pack("<QQ", 0xBAB10C, 5000)) for start in range(128 << 10, 136 << 10, 1 << 10)
    ),
    "VMFS_volume_member": ((1 << 20, struct.pack("<I", 0xC001D00D)),),
    "VMFS": ((2 << 20, struct.pack("<I", 0x2FABF15E)),),
    "ceph_bluestore": ((0, b"bluestore block device\n" + b"x" * 36 + b"\n"),),
}

MORE_SIGNATURES: dict[str, Parts] = {
    # mkfs.btrfs 6.2, the second of two devices
    "btrfs": _packed(
        65536,
        "c-p%ktE0hy2P}AMHEj~N$K_38qSJQX&e+Dlzz7y+gv!S|c?6{e$NRFuG#t1Dk#Y!N#9<`FJ_jZ+1=Gg_lNA8TK{1fsh@=Jvn4z>"
        "IGm;<^f++%_8kpb)!Z2Q7xkvWXzKNdg-9-_Pb{;5E!Swnl7|{Tlpr0@>z|wXDTGE3E3!(5C!AXw^NFy=?M1T6{FU8Y}eU{I5chq"
        "4%u=O9p909Bek`@*K0BTr2B>",
    ),
    # The rest by hand: what libblkid goes by.
    "gfs": (((64 << 10), bytes.fromhex("01161970") + bytes(20) + struct.pack(">II", 1309, 1401)),),
    "ocfs": ((8 << 10, b"OracleCFS"),),
    "oracleasm": ((32, b"ORCLDISK"),),
    "vxfs": ((1 << 10, bytes.fromhex("f5fc01a5")),),
    "vdo": ((0, b"dmvdo001"),),
    "mpool": (
        (
            0,
            b"mpoolDev"
            + b"pool".ljust(32, b"\0")
            + bytes.fromhex("000102030405060708090a0b0c0d0e0f010001000000ff5f88bd"),
        ),
    ),
    "DM_snapshot_cow": ((0, b"SnAp"),),
    "DM_verity_hash": ((0, b"verity\0\0" + struct.pack("<I", 1)),),
    "DM_integrity": ((0, b"integrt\0" + b"\1"),),
    "LVM1_member": ((0, b"HM" + struct.pack("<H", 1)),),
    "drbd": ((SIZE_BYTES - 4096 + 60, struct.pack(">I", 0x83740267 + 4)),),
    "drbdmanage_control_volume": ((0, b"$DRBDmgr=q\n" + b"0" * 32 + b"\n"),),
    "drbdproxy_datalog": ((0, b"DRBDdlh*"),),
    "jbd": (((1 << 10) + 0x38, b"\x53\xef"), ((1 << 10) + 0x60, struct.pack("<I", 8))),
    "xfs_external_log": ((0, struct.pack(">IIII284xI", 0xFEEDBABE, 0, 2, 512, 1)),),
    "swsuspend": ((0xFF6, b"S1SUSPEND"),),
}
"""Others, of which it is only tried that libblkid's name for them is the one we go by."""

EMPTY_GPT = _packed(
    0,
    "c-muN7zINaFfqLQ|NlQDkoEsRC&{`)SGl@*Dg-zNg)lHMGQ<Ey%)dRG0+L~bs(_oy0io_e`Hsipo7`7<"
    "nom0)vhvpVoQ+IS^$k$mb}3}_XzYxFQ82gx0H@^~8~",
)
GPT_WITH_ONE = _packed(
    0,
    "c-muN7zINaFfqLQ|NlQDkoEsRC&{`)SGl@*Dg-zNg)lHMGQ<EybY+j<0?9B!RlrT<fKd0KeA|4sJ3Wd1"
    "YiEA5`u)q$^Z^r8eFGG0=c_1=#?Ige>urzmH@6hI_f^_v-f*vdvi07{w$*oix6I<V4c6b+$q0-0|LV-6"
    "fi(;P0Fq)Vv;",
)
"""sfdisk 2.38."""
EMPTY_DOS: Parts = ((440, bytes.fromhex("18e8e20e0000")), (510, b"\x55\xaa"))
