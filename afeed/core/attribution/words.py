"""Words that say nothing about a talk.

In the languages that posts at European and American events are written in most; in others, the rarity of a word
among the titles has to do.  All are as :func:`afeed.core.attribution.tokens.stem` leaves them.
"""

from __future__ import annotations

from afeed.core.attribution.tokens import stems

#: Too common to connect a post with a title that has them.
STOP = frozenset(
    stems(
        """
        the and for with from into onto over under about after before between without within out off
        not but are was were been being have has had does did doing will would can could should may
        might must this that these those there here where when what which who whom whose why how all
        any both each few more most other some such only own same than too very just now then its
        our your their his her him she they them you one two new old good best better great big make
        making get got use using way day time year people everyone everything world thing things
        talk talks session sessions workshop keynote lightning introduction intro guide part
        building built beyond towards let need know like want really much many first last next der
        die das den dem des ein eine einen einem einer und oder aber mit von vom zum zur bei aus auf
        für über unter nach vor ist sind war waren wird werden hat haben kann nicht auch nur noch
        schon sehr wie wer wo wenn dann als alle alles mehr ich wir ihr sie uns euch mein dein sein
        ihre het een van voor met bij naar uit onder maar ook niet wel nog dan dit dat deze wij jij
        zij ons les une dans pour avec sans sur sous par est sont pas plus que qui quoi dont nous
        vous ils elles mais los las una del con sin por para como pero más muy este esta estos estas
        hay son ser está uma dos com sem mas muito isso são não gli della delle degli nel nella per
        che come più sono non questo questa och att det som för med ett inte till från nie jest się
        dla jak czy oraz przez
        """
    )
)

#: Of the day and not of a talk.
CHATTER = frozenset(
    stems(
        """
        coffee kaffee koffie café cafe lunch breakfast dinner beer biertje bier cerveza cerveja
        drinks borrel snack snacks food hungry hunger croissant croissants stroopwafel stroopwafels
        toilet toilets queue wifi wlan charger badge badges registration train tram hotel umbrella
        booth hiring recruiting party karaoke almuerzo comida almoço déjeuner mittagessen frühstück
        pause break giveaway raffle cloakroom parking buffet dessert
        """
    )
)
