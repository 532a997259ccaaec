"""Common words of English: what people say when they do not say a phrase that a device listens for."""

from __future__ import annotations

_TEXT = """
able about above across act add afraid after again against age ago agree air alarm album all allow almost alone
along already also always amp and animal another answer any anyone apple april arm around art ask autumn away baby
back bad bag balance ball banana band bank base basket bath battery beach beautiful because become bed bee before
begin behind believe bell below best better between big bird birthday black blanket blue board boat body book boost
border born both bottle bottom box boy branch bread break breakfast bridge bright bring brother brown brush build
bus business busy butter button buy cake call camera camp can candle candy car card care carpet carry cat catch
celery center chair chance change cheap check cheese chicken child chocolate choose church circle city class clean
clear climb clock close cloud coat coffee cold collar color come common company compare complete computer cook cool
copy corner cost could count country course cousin cover cow cradle cream cross cry cup current curtain cut daily
damp dance danger dark daughter day dead dear decide deep desk different dinner dirty doctor dog dollar door double
down dozen draw dream dress drink drive drop dry each ear early earth east easy eat edge egg eight either else empty
end engine english enough enter even evening ever every everyone example excuse expect explain eye face fact fall
family famous far farm fast father favor february feed feel fence few field fight fill film find fine finger finish
fire first fish five flat floor flower fly follow food foot forest forget forward found four free fresh friday
friend from front fruit full fun funny future game garden garlic gate gather gentle get gift girl give glad glass
gold good grand grass gray great green ground group grow guess guest guitar hair half hall hammer hand handle happen
happy hard harvest hat have head hear heart heat heavy hello help here high hill history hold hole holiday home
honest honey hope horse hospital hot hour house how hundred hungry hurry husband ice idea important inside island
january job join juice july jump june just keep key kind king kitchen kitten knee knife know ladder lady lake lamb
lamp land language large last late laugh lazy lead leaf learn least leave left leg lemon lend length less lesson
letter level library lift light like limp line lion lip list listen little live lock long look lose loud love low
luck lunch machine magic mail main make man many map march market marry matter may maybe meal mean measure meat
medicine meet melon member memory message metal middle midnight mile milk million mind minute mirror miss mister mix
model moment monday money monkey month moon more morning most mother motor mountain mouse mouth move movie much
music must name narrow nature near neck need neighbor never new news next nice night nine nobody noise none noon
north nose note nothing now number nurse ocean october offer office often oil okay old onion only open orange order
other outside oven over own page paint pair paper parent park part party pass past path pay peace pen pencil people
pepper perfect person phone photo piano picture piece pilot pink place plan plane plant plate play please pleasure
plenty plus pocket point police poor possible potato power practice present pretty price prince print problem
promise proud public pull purple push put quarter queen question quick quiet quite rabbit radio rain raise ramp
ready real reason record red remember repeat rest return rice rich ride right ring river road rock roof room rose
round row rule run sad safe sail salad salt same sand saturday save say school science sea seat second secret see
seem select sell send sentence seven several shadow shape share sharp she sheep shelf shine ship shirt shoe shop
short should shoulder shout show shower sick side sign silver simple since sing single sister sit six size skin sky
sleep slow small smart smell smile smoke snow soap soft some someone son song soon sorry sound soup south speak
special speed spell spend spoon sport spring square stairs stamp stand star start station stay steal steam step
still stone stop store storm story straight strange street strong student study such sugar suit summer sun sunday
supper sure surprise sweet swim table take talk tall taste teach team tell ten tennis test thank that their then
there they thick thin thing think third thirsty this those though thousand three through throw thunder thursday
ticket tidy tiger time tiny tired today together tomato tomorrow tongue tonight too tooth top total touch towel town
toy train travel tree trip trouble truck true try tuesday turn turtle twelve twenty twice two umbrella uncle under
understand university until upon use useful usual vacation valley very video village visit voice wait walk wall want
warm wash watch water wave way weak wear weather wednesday week welcome well west wet what wheel when where which
while white who whole why wide wife wild wind window wine winter wish with without woman wonder wood word work world
worry would write wrong yard year yellow yesterday yet young zebra zero
"""

COMMON_WORDS = tuple(_TEXT.split())
"""In alphabetical order. Their number and order decide the near misses that a seed makes."""
