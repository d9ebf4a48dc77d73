"""Top-level domains by which a host is recognised when nothing else says that it is one.

All country codes, and the generic domains that people write without ``https://``.  A domain that is missing
here costs a link in a text, no more.
"""

from __future__ import annotations

_GENERIC = """
aero academy agency ai app art arpa asia audio band bar best bike biz blog blue book brussels build
business cafe camp care cat center chat church city click clinic cloud club coach codes coffee com
community company computer consulting cool coop country credit dance data day design dev digital
directory earth edu education email energy engineering events exchange expert express family fans
farm fashion film finance fit flights fm fun fund fyi gallery game games garden gle global gmbh gov
graphics green group guide guru health help here history holiday host hosting house how industries
info ink institute int international jobs land law legal life link live lol london love ltd maps
market marketing media men mil mobi moda moe movie museum name nagoya net network news ngo ninja nyc
one ong onl online org osaka page paris partners parts party photo photography photos pics pictures
pink pizza place plus post press pro productions pub radio realty recipes red ren report rest review
reviews rip rocks run sale school science security services sexy shop show site ski social software
solutions space sport store stream studio study style support surf systems tax team tech technology
tel theater tips today tokyo tools top tours town toys trade training travel university vegas video
vision vote wales watch website wedding wiki win wine work works world wtf xxx xyz yoga zone
"""

_COUNTRIES = """
ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bw
by bz ca cc cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et
eu fi fj fk fm fo fr ga gb gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id
ie il im in io iq ir is it je jm jo jp ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu
lv ly ma mc md me mg mh mk ml mm mn mo mp mq mr ms mt mu mv mw mx my mz na nc ne nf ng ni nl no np
nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs ru rw sa sb sc sd se sg sh si sk
sl sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn to tr tt tv tw tz ua ug uk us uy
uz va vc ve vg vi vn vu wf ws ye yt za zm zw
"""

_OTHER_SCRIPTS = """
бг бел ею мкд мон орг рус рф онлайн сайт срб укр қаз ευ ελ հայ გე ישראל ایران پاکستان مصر السعودية
امارات المغرب قطر فلسطين عمان سورية تونس الجزائر الاردن موقع شبكة भारत বাংলা ভারত ලංකා இந்தியா ไทย
中国 中國 台湾 台灣 香港 澳門 新加坡 公司 网络 网址 在线 中文网 みんな コム 世界 한국 닷컴
"""

WELL_KNOWN = frozenset((_GENERIC + _COUNTRIES + _OTHER_SCRIPTS).split())
