"""How customers ask for a person, refuse one and change their mind, in the languages that the bridge knows. Pure data.

Each line of a block is a regular expression over text that `normal` made: lower case, straight apostrophes, one blank
between words; a line that is indented further continues the one above, and `{who}` stands for the language's words for
a person. They match at word boundaries. A refusal counts when it stands in the same clause as the request, before it
and at most a few words away ("I don't want to talk to a person").
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Phrases:
    """One language. `alone` are requests only when they are the whole message ("human please")."""

    who: str = ""
    asks: str = ""
    alone: str = ""
    refusals: str = ""
    withdrawals: str = ""

    def patterns(self, block: str) -> tuple[str, ...]:
        """Return the expressions of one of the blocks, complete."""
        who = re.sub(r"\n {12}", "", self.who).strip()
        whole = re.sub(r"\n {12}", "", block).replace("{who}", who)
        return tuple(line.strip() for line in whole.splitlines() if line.strip())


_QUOTES = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "`": "'", "´": "'"})


def normal(text: str) -> str:
    """Return the text as the patterns expect it: its first 4,000 characters, for no request is buried deeper."""
    folded = unicodedata.normalize("NFC", text[:4000]).translate(_QUOTES).lower()
    return re.sub(r"\s+", " ", folded).strip()


FILLERS = frozenset(
    re.findall(
        r"\w+",
        """
        ok okay oh ah well so then now actually sorry hi hey thanks thank you thx please all anymore i it and
        danke vielen dank doch schon also na gut ja ich
        merci beaucoup bon alors finalement pardon oui
        gracias muchas bueno entonces perdón sí ya
        grazie mille allora scusa scusi sì va bene
        obrigado obrigada então desculpe sim já
        bedankt dank je wel dan sorry ja hoor
        """,
    )
)
"""What may stand beside a withdrawal without changing it."""

DEFAULT: Mapping[str, Phrases] = {
    "en": Phrases(
        who=r"""
        (?:an? |the |some |your |another )?(?:(?:real|actual|live|living|human|customer|support|service|
            sales) ){0,3}(?:human(?: being)?(?! resources)|person|people|agent|representative|rep|operator|
            advis[eo]r|colleague|supervisor|manager|employee|staff(?: member)?|support team|team member|someone|
            somebody|customer (?:service|support)|human support)
        """,
        asks=r"""
        (?:talk|speak|chat|connect|write)(?:ing)? (?:me )?(?:to|with) {who}
        (?:connect|transfer|forward|hand|put|pass|switch|escalate|refer|
            direct)(?: me| us| this| it| the chat)?(?: over| through| on| up)? (?:to|with) {who}
        (?:get|give|find|fetch|call|bring|send)(?: me| us) {who}
        (?:i|we)(?: would|'d|'ll)?(?: really| just| still)? (?:want|need|like|prefer|
            demand)(?: to have| to get| to see)? {who}(?= (?:please|now|to|who|instead|right|here|on|for|
            not)\b| ?[,.!?;]| ?$)
        (?:is there|are there|do you have|don't you have|can i get|could i get|can i have|could i have|
            may i have) (?:any )?{who}(?= (?:please|here|there|i can|who can|that can|available|to talk|to speak|
            around|instead)\b| ?[.!?]| ?$)
        (?:let me|i want to|i'd like to|can i|could i|i need to) (?:reach|contact|see) {who}
        (?:don't|do not|dont|no longer) (?:want|wanna)(?: to (?:talk|speak|chat|deal) (?:to|with))? (?:an? |this |
            the )?(?:stupid )?(?:ai|bot|chatbot|robot|machine|computer)
        (?:stop|enough|sick of|tired of) (?:talking to |with )?(?:this |the |an? )?(?:bot|chatbot|robot|machine|ai)
        (?:want|need|prefer) {who} to (?:help|call|contact|look|handle|answer|assist|take)
        (?:human|person|agent|representative) (?:instead|now please|please now)
        """,
        alone=r"""
        (?:(?:a |an |real |live |human )*(?:human|person|agent|operator|representative|rep|someone|supervisor|
            manager))(?: (?:please|pls|now|asap))*
        (?:please )?(?:human|live|real) (?:agent|person|support|chat|help)(?: please)?
        (?:customer (?:service|support))(?: please)?
        """,
        refusals=r"""
        (?:do not|don't|dont|did not|didn't|does not|doesn't|would not|wouldn't|will not|won't|no longer|not|
            never)(?: \w+)? (?:want|wanna|wish|need|like|require|have|ask(?:ed|ing)?|prefer|trying|looking)(?: to)?
        no need(?: to| for)?|no reason to|rather not|prefer not(?: to)?|without|instead of|unnecessary to
        (?:do not|don't|dont|never|please not|no|not)$
        """,
        withdrawals=r"""
        never ?mind(?: about (?:that|it|the (?:human|person|agent)))?
        no (?:human|person|agent|one|operator)(?: is)? (?:needed|necessary|required)
        (?:i |we )?(?:do not|don't|dont|no longer) need (?:a |an |the |any )?(?:human|person|agent|operator|help|
            help anymore)(?: any ?more| after all| now)?
        (?:forget|scratch|drop) (?:it|that|about it)
        (?:it's|it is|that's|all is) (?:ok|okay|fine|solved|resolved|sorted|good)(?: now)?,? (?:thanks|thank you|
            i (?:found|solved))
        (?:i(?:'ve| have)? )?(?:found|solved|fixed|sorted)(?: out)? (?:it|that|the answer)(?: myself| now| out)?
        (?:cancel|stop) (?:the |my |this )?(?:request|handoff|transfer|waiting)
        (?:back to|continue with|i'll (?:talk|chat) (?:to|with)|let me (?:talk|chat) (?:to|with)) the (?:bot|ai|
            assistant)
        changed my mind
        """,
    ),
    "de": Phrases(
        who=r"""
        (?:einem|einen|einer|eine|ein|echten?|echtem|dem|den|der|ihrem|ihren|ihrer|richtigen?|menschlichen?|
            persönlich mit|\s)*(?:menschen?|person|mitarbeiter(?:in|n)?|kollegen|kollegin|berater(?:in)?|
            kundenberater(?:in)?|kundendienst|kundenservice|kundenbetreuer(?:in)?|support|vorgesetzten|
            ansprechpartner(?:in)?|sachbearbeiter(?:in)?|jemande[nm])
        """,
        asks=r"""
        mit {who}(?: \w+)? (?:sprechen|reden|chatten|schreiben|telefonieren|verbinden|verbunden)
        (?:sprechen|reden|verbinden|verbinde|verbindet|weiterleiten|chatten)(?: sie)?(?: mich)?(?: bitte)? (?:mit|
            an|zu) {who}
        (?:möchte|will|brauche|hätte gerne?|wünsche|verlange|
            benötige)(?: bitte| jetzt| lieber| gern| gerne)* (?:einen?|eine[mn]?|echten?|richtigen?) {who}
        (?:gibt es|ist da|haben sie|kann ich|
            könnte ich)(?: hier| auch| denn| bitte)* {who}(?: \w+)?
            (?: haben| bekommen| da| erreichen| sprechen| hier)?(?= ?[?!.]| ?$)
        (?:holen|geben|schicken) sie (?:mir |bitte )*(?:einen?|eine[mn]?) (?:menschen|mitarbeiter(?:in)?|person|
            berater(?:in)?)
        (?:nicht|keine lust,?) (?:länger |mehr )?mit (?:einem|dem|einer|diesem) (?:bot|chatbot|roboter|maschine|ki|
            computer)
        """,
        alone=r"""
        (?:bitte )?(?:ein(?:en)? )?(?:echter? |echten )?(?:mensch(?:en)?|mitarbeiter(?:in)?|
            berater(?:in)?)(?: bitte)?
        """,
        refusals=r"""
        (?<!kann ich )(?<!könnte ich )(?<!darf ich )nicht(?: \w+)?
        kein(?:e[nmrs]?)?
        ohne|anstatt|statt
        """,
        withdrawals=r"""
        (?:schon gut|vergessen sie(?: es)?|vergiss es|egal|hat sich erledigt|hat sich geklärt|alles gut)
        (?:brauche|benötige|möchte|will) (?:doch |jetzt |nun )?(?:keinen|keine|
            niemanden)(?: mehr)?(?: menschen?| mitarbeiter(?:in)?| person)?
        (?:kein mensch|kein mitarbeiter|niemand)(?: mehr)? (?:nötig|notwendig)
        (?:habe|hab) (?:es|die antwort|die lösung) (?:schon |selbst )*(?:gefunden|gelöst)
        """,
    ),
    "fr": Phrases(
        who=r"""
        (?:à |a |avec |par |de )?(?:une? |un vrai |une vraie |le |la |votre |vos )?(?:vraie? )?(?:humaine?|
            être humain|personne(?: réelle| humaine)?|conseillère?|conseiller|agent(?: humain)?|opérat(?:eur|rice)|
            responsable|collègue|service client|quelqu'un)
        """,
        asks=r"""
        (?:parler|discuter|échanger|communiquer|écrire) (?:à|a|avec) {who}
        (?:passer|passez|transf[ée]re[rz]|connecte[rz]|mettre|mettez|rediriger)(?:[- ]moi)?(?: en (?:relation|
            contact))?(?: vers| à| avec)? {who}
        (?:je (?:veux|voudrais|souhaite|préfère)|j'aimerais|j'ai besoin d['e] ?|il me faut) ?(?:avoir |joindre |
            contacter )?(?:une? ){who}
        j'ai besoin d'une? {who}
        (?:y a-t-il|est-ce qu'il y a|avez-vous) {who}
        """,
        alone=r"""
        (?:une? )?(?:vraie? )?(?:humain|conseiller|conseillère|personne|agent humain)(?: s'il vous plaît| svp| stp)?
        """,
        refusals=r"""
        (?:ne |n'|n')?(?:\w+ )?(?:pas|plus|jamais)(?: besoin)?(?: d[e']?)?
        sans|inutile de|plutôt que|au lieu de
        """,
        withdrawals=r"""
        (?:laissez? tomber|oubliez(?:[- ]ça)?|oublie(?: ça)?|c'est bon(?: merci)?|tant pis|pas grave)
        (?:plus|pas) besoin (?:d'(?:un |une )?(?:humain|conseiller|agent|aide|personne)|de personne|de parler)
        j'ai (?:trouvé|résolu|réglé)
        """,
    ),
    "es": Phrases(
        who=r"""
        (?:a |con )?(?:una? |el |la |su |alguna? )?(?:verdader[oa] |otra )?(?:personas?(?: real| humana)?|human[oa]|
            ser humano|agente(?: humano)?|operador[a]?|representante|asesor[a]?|supervisor[a]?|encargad[oa]|
            atención al cliente|alguien)
        """,
        asks=r"""
        (?:hablar|chatear|comunicarme|conversar|hablo|hable) (?:con|a) {who}
        (?:p[aá]s[ae](?:me|r?me)?|transfiera(?:n?me)?|transfiéreme|conécte(?:me|nme)|conectarme|comuníqu?e(?:me|
            nme)|comunícame|páseme|pásame|póngame|derívame) (?:con|a) {who}
        (?:quiero|necesito|quisiera|prefiero|exijo|deseo) (?:a |que me atienda |contactar (?:con )?)?(?:una? |
            otra ){who}
        (?:hay|tienen) (?:una? |algun[ao]? )?{who}(?: (?:con quien|que me|disponible|ahí|aquí))
        (?:quiero|necesito|quisiera) que (?:me atienda|me ayude|me llame) {who}
        """,
        alone=r"""
        (?:una? )?(?:persona(?: real)?|humano|agente(?: humano)?|operador[a]?|asesor[a]?)(?: por favor)?
        """,
        refusals=r"""
        (?<!por qué )no (?:me |te |se )?(?:quiero|necesito|deseo|quisiera|gustaría|hace falta|es necesario|
            pase[ns]?|transfiera[ns]?)
        sin|en vez de|en lugar de|ya no (?:quiero|necesito)|no$
        """,
        withdrawals=r"""
        (?:olv[ií]d(?:alo|elo|ese)|no importa|d[eé]jalo|d[eé]jelo|da igual)
        ya no (?:necesito|quiero|hace falta)(?: (?:a )?(?:una? )?(?:persona|humano|agente|ayuda|nada|nadie))?
        (?:ya )?(?:lo )?(?:encontré|solucioné|resolví)
        no hace falta
        """,
    ),
    "it": Phrases(
        who=r"""
        (?:con |a |ad )?(?:un[ao]? |un'|il |la |vostr[oa] |
            qualche )?(?:ver[oa] )?(?:person[ae](?: reale| vera| umana)?|uman[oi]|essere umano|operat(?:ore|
            rice)(?: umano)?|consulente|addett[oa]|responsabile|assistenza clienti|servizio clienti|qualcuno)
        """,
        asks=r"""
        (?:parlare|parlo|chattare|comunicare|scrivere) (?:con|a|ad) {who}
        (?:pass(?:ami|atemi|armi|i)|mi passi|trasfer(?:iscimi|itemi|irmi)|colleg(?:ami|atemi|armi)|mett(?:imi|etemi|
            ermi) in contatto)(?: (?:con|a|ad))? {who}
        (?:voglio|vorrei|desidero|preferisco|esigo) (?:contattare |sentire )?(?:un[ao]? |un'){who}
        (?:ho bisogno|avrei bisogno) di (?:parlare con |un[ao]? |un'){who}
        (?:c'è|avete) (?:un[ao]? |un')?{who}(?: (?:con cui|che|disponibile|lì))
        """,
        alone=r"""
        (?:un[ao]? |un')?(?:operatore|persona(?: reale| vera)?|umano)(?: umano)?(?: per favore| per piacere)?
        """,
        refusals=r"""
        (?<!perché )non (?:\w+ )?(?:voglio|vorrei|desidero|ho bisogno|serve|occorre|mi passi|passarmi|
            è necessario)(?: di)?
        senza|invece di|anziché|inutile|non$
        """,
        withdrawals=r"""
        (?:lascia(?:te)? (?:stare|perdere)|lasci (?:stare|perdere)|non importa|fa niente|come non detto)
        non (?:ho più bisogno|serve più|mi serve più|serve)(?: (?:di )?(?:un[ao]? |un')?(?:operatore|persona|umano|
            nessuno|aiuto))?
        ho (?:già )?(?:trovato|risolto)
        """,
    ),
    "pt": Phrases(
        who=r"""
        (?:com |a |para )?(?:uma? |o |a |algum[a]? )?(?:verdadeir[oa] )?(?:pessoas?(?: real| de verdade)?|human[oa]|
            ser humano|atendente(?: humano)?|agente(?: humano)?|operador[a]?|representante|supervisor[a]?|
            responsável|alguém)
        """,
        asks=r"""
        (?:falar|conversar|falo|comunicar) (?:com|a) {who}
        (?:me )?(?:pass[ae]r?(?:-me)?|transf(?:ira|ere|erir)(?:-me)?|conect[ae]r?(?:-me)?|
            encaminh[ae]r?(?:-me)?)(?: me)? (?:com|para|a) {who}
        (?:quero|preciso de|gostaria de(?: ter)?|prefiro|exijo|desejo) (?:um |uma |contactar (?:um |uma )?){who}
        (?:há|tem|existe) (?:algum[a]? |uma? )?{who}(?: (?:com quem|que|disponível|aí))
        (?:quero|preciso) (?:que )?(?:ser atendid[oa] por|me atenda) {who}
        """,
        alone=r"""
        (?:uma? )?(?:pessoa(?: real)?|humano|atendente(?: humano)?|operador[a]?)(?: por favor)?
        """,
        refusals=r"""
        (?<!por que )(?:não|nao) (?:me |se )?(?:quero|preciso|desejo|gostaria|é preciso|é necessário|passe|
            transfira)(?: de)?
        sem|em vez de|ao invés de|já não (?:quero|preciso)(?: de)?|(?:não|nao)$
        """,
        withdrawals=r"""
        (?:esquece|esqueça|deixa (?:pra lá|para lá|estar)|deixe (?:pra lá|para lá|estar)|não importa|tanto faz)
        (?:não|nao|já não) (?:preciso|quero) mais(?: (?:de )?(?:uma? )?(?:pessoa|humano|atendente|ajuda|ninguém))?
        já não preciso
        já (?:encontrei|resolvi|consegui)
        """,
    ),
    "nl": Phrases(
        who=r"""
        (?:met )?(?:een |iemand |de |jullie |uw )?(?:echte? |menselijke )?(?:mens|persoon|medewerker|medewerkster|
            collega|leidinggevende|klantenservice|iemand(?: van)?)
        """,
        asks=r"""
        met {who}(?: \w+)? (?:praten|spreken|chatten|bellen|doorverbonden|doorverbinden)
        (?:praten|spreken|chatten|verbind|doorverbinden|verbinden)(?: me| mij)?(?: alstublieft| door| aub)? (?:met|
            naar) {who}
        {who} (?:spreken|te spreken)
        (?:wil|wens|zoek|heb)(?: graag| nu| liever)? (?:een |iemand ){who}(?: nodig)?
        (?:is er|hebben jullie|heeft u)(?: ook| hier)? (?:een ){who}
        kan ik (?:een |iemand )(?:echte? )?(?:mens|persoon|medewerker)?(?: spreken| krijgen)
        """,
        alone=r"""
        (?:een )?(?:echt )?(?:mens|medewerker|persoon)(?: alstublieft| graag| aub)?
        """,
        refusals=r"""
        (?<!kan ik )(?:niet|geen|nooit)(?: \w+)?
        zonder|in plaats van|hoeft? (?:niet|geen)
        """,
        withdrawals=r"""
        (?:laat maar(?: zitten)?|maakt niet uit|vergeet het(?: maar)?|niet meer nodig|hoeft niet meer)
        (?:heb|hoef) geen (?:mens|medewerker|persoon|hulp)(?: meer)?(?: nodig)?(?: meer)?
        (?:heb het|ik heb het) (?:al |zelf )*(?:gevonden|opgelost)
        """,
    ),
}
