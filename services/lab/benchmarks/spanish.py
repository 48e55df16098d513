"""A machine-made second language for queries: common shop words, one by one, the rest as it is."""

import re

PAIRS = """
for:para with:con without:sin and:y of:de the:el in:en size:talla large:grande small:pequeño
medium:mediano black:negro white:blanco red:rojo blue:azul green:verde pink:rosa gold:dorado
silver:plata gray:gris grey:gris brown:marrón purple:morado yellow:amarillo orange:naranja
women:mujer womens:mujer woman:mujer men:hombre mens:hombre man:hombre kids:niños boys:niños
girls:niñas girl:niña boy:niño baby:bebé toddler:bebé adult:adulto dog:perro dogs:perros cat:gato
cats:gatos pet:mascota shoes:zapatos shoe:zapato boots:botas sandals:sandalias dress:vestido
shirt:camisa shirts:camisas pants:pantalones jeans:vaqueros shorts:cortos jacket:chaqueta
coat:abrigo hat:sombrero socks:calcetines gloves:guantes belt:cinturón bag:bolsa bags:bolsas
backpack:mochila wallet:cartera watch:reloj ring:anillo necklace:collar earrings:pendientes
glasses:gafas sunglasses:gafas light:luz lights:luces lamp:lámpara led:led bulb:bombilla table:mesa
chair:silla desk:escritorio bed:cama sofa:sofá mattress:colchón pillow:almohada blanket:manta
sheets:sábanas towel:toalla curtain:cortina rug:alfombra mirror:espejo door:puerta window:ventana
wall:pared floor:suelo kitchen:cocina bathroom:baño bedroom:dormitorio garden:jardín
outdoor:exterior indoor:interior knife:cuchillo knives:cuchillos cup:taza cups:tazas mug:taza
glass:vidrio bottle:botella water:agua coffee:café tea:té food:comida oil:aceite paper:papel
book:libro books:libros pen:bolígrafo pens:bolígrafos phone:teléfono case:funda cover:cubierta
screen:pantalla protector:protector charger:cargador cable:cable battery:batería
wireless:inalámbrico camera:cámara car:coche truck:camión bike:bicicleta wheel:rueda
tool:herramienta tools:herramientas box:caja storage:almacenamiento holder:soporte stand:soporte
rack:estante shelf:estante set:juego pack:paquete pieces:piezas inch:pulgadas feet:pies metal:metal
steel:acero stainless:inoxidable wood:madera wooden:madera plastic:plástico leather:cuero
cotton:algodón silicone:silicona clear:transparente heavy:pesado soft:suave waterproof:impermeable
hair:pelo skin:piel face:cara cream:crema soap:jabón brush:cepillo teeth:dientes toy:juguete
toys:juguetes game:juego games:juegos party:fiesta birthday:cumpleaños christmas:navidad gift:regalo
new:nuevo old:viejo long:largo short:corto best:mejor home:hogar office:oficina school:escuela
summer:verano winter:invierno air:aire fan:ventilador heater:calefactor machine:máquina
cleaner:limpiador cleaning:limpieza
"""
WORDS = dict(pair.split(":") for pair in PAIRS.split())
_WORD = re.compile(r"[^\W\d_]+")


def translated(text: str) -> str:
    """Return the text with every known word replaced; ‘comprar’ before it, as searches there begin."""
    words = _WORD.sub(lambda word: WORDS.get(word.group().lower(), word.group()), text)
    return f"comprar {words}"
