// Checks that every reason code of MQTT 5 has a name and a remedy in every packet that may contain it.
import { expect, test } from 'vitest'
import { connackRefusal, disconnectRefusal, publishRefusal, subscribeRefusal } from './refusal.ts'

// MQTT 5 §2.4, table 2-6: the code, and the packets from a broker that may contain it. C = CONNACK, D = DISCONNECT, S =
// SUBACK, U = UNSUBACK, P = PUBACK.
const TABLE = `
  00 CD, 01, 02, 04 D, 10, 11 U, 18, 19, 80 CDSUP, 81 CD, 82 CD, 83 CDSUP, 84 C, 85 C, 86 C, 87 CDSUP, 88 C, 89 CD,
  8a C, 8b D, 8c C, 8d D, 8e D, 8f DSU, 90 CDP, 91 SUP, 92, 93 D, 94 D, 95 CD, 96 D, 97 CDSP, 98 D, 99 CDP, 9a CD,
  9b CD, 9c CD, 9d CD, 9e SD, 9f CD, a0 D, a1 SD, a2 SD`
const CODES = TABLE.split(',').map((row) => {
  const [code = '', packets = ''] = row.trim().split(' ')
  return { code: Number.parseInt(code, 16), hex: `0x${code}`, packets }
})

const sentences = {
  C: (code: number) =>
    connackRefusal({ sessionPresent: false, reasonCode: code, isV311: false, properties: {} }).message,
  D: (code: number) => disconnectRefusal({ reasonCode: code, properties: {} }).message,
  S: (code: number) => subscribeRefusal('a/#', code).message,
  P: (code: number) => publishRefusal('a', code),
}

test('lists every code of MQTT 5 §2.4', () => {
  expect(CODES).toHaveLength(43)
})

test.each(CODES)('explains $hex in every packet in which a broker may send it', ({ code, hex, packets }) => {
  for (const [packet, sentence] of Object.entries(sentences)) {
    if (packet !== 'D' && code < 0x80) continue
    const text = sentence(code)
    expect(text).toContain(hex)
    expect(text).not.toMatch(/not define|undefined|\.\.|  /)
    expect(text).toMatch(/\.$|ACL: topic read a\/#$/)
    const isForeign = text.includes('does not allow this code')
    if (packets.includes(packet)) expect(isForeign, `${packet} ${text}`).toBe(false)
    else expect(isForeign, `${packet} ${text}`).toBe(true)
  }
})

test('suggests access rights only for refusals that concern access', () => {
  expect(subscribeRefusal('$share/g/a', 0x87).message).toMatch(/read access\. ACL: topic read a$/)
  expect(subscribeRefusal('$share/g/a', 0x9e).message).toMatch(/Remove broker\.share/)
  expect(subscribeRefusal('a/#', 0x97).message).not.toContain('ACL')
  expect(publishRefusal('a', 0x97)).not.toContain('write access')
})

test('describes an undefined reason code as not defined by MQTT 5', () => {
  expect(disconnectRefusal({ reasonCode: 0xee, properties: {} }).message).toContain(
    'a reason code that MQTT 5 does not define, 0xee',
  )
})
