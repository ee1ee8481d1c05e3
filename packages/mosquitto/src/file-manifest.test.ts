import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { fileManifest } from './file-manifest.ts'

const TEXT = 'ann:$6$c2FsdA==$aGFzaA==\nbob:$7$101$c2FsdA==$aGFzaA==\n'

test('a ConfigMap contains the lines as a block, with the default names', () => {
  expect(fileManifest(TEXT, { kind: 'ConfigMap', name: 'mosquitto-password' })).toBe(`apiVersion: v1
kind: ConfigMap
metadata:
  name: mosquitto-password
  namespace: mosquitto
data:
  password.txt: |
    ann:$6$c2FsdA==$aGFzaA==
    bob:$7$101$c2FsdA==$aGFzaA==
`)
})

test('a Secret contains the bytes as base64', () => {
  const text = fileManifest(TEXT, { kind: 'Secret', name: 'users', namespace: 'edge', key: 'passwd' })
  const secret = parse(text) as { data: Record<string, string>; metadata: object; type: string }
  expect(secret).toMatchObject({
    kind: 'Secret',
    type: 'Opaque',
    metadata: { name: 'users', namespace: 'edge' },
  })
  expect(Buffer.from(secret.data['passwd']!, 'base64').toString()).toBe(TEXT)
})

describe('any text', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      '\n',
      '\n\n',
      ' ',
      '  ',
      '\t',
      '\r',
      '\r\n',
      '#',
      '# x',
      '- a',
      'a: b',
      '---',
      '...',
      '%',
      "'",
      '"',
      '\0',
    ),
    fc.constantFrom(
      '\u0085',
      '\u00a0',
      '\u2028',
      '\u2029',
      '\ufeff',
      '\ufffe',
      '\u{1f600}',
      '\ud7ff',
      '\ue000',
      '\u007f',
    ),
    fc.string({ unit: 'grapheme', maxLength: 5 }),
  )

  // kubectl uses a YAML 1.1 parser.
  test.each(['1.1', '1.2'] as const)(
    'is preserved byte for byte in a ConfigMap and in a Secret by a YAML %s parser',
    (version) => {
      fc.assert(
        fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
          const text = pieces.join('')
          const read = (kind: 'ConfigMap' | 'Secret'): string =>
            (parse(fileManifest(text, { kind, name: 'x' }), { version }) as { data: Record<string, string> })
              .data['password.txt']!
          expect(read('ConfigMap')).toBe(text)
          expect(Buffer.from(read('Secret'), 'base64').toString()).toBe(text)
        }),
        { numRuns: 2000 },
      )
    },
  )
})

test.each(['\uff74', ''])(
  'the base64 in a Secret stays a string, even if it is empty or looks like a number: %j',
  (text) => {
    const manifest = fileManifest(text, { kind: 'Secret', name: 'x' })
    const { data } = parse(manifest, { version: '1.1' }) as { data: Record<string, unknown> }
    expect(data['password.txt']).toBe(Buffer.from(text).toString('base64'))
  },
)

test.each(['yes', 'null', '123', '1e3', '0x1f', 'a.b'])('the name "%s" is written as a string', (name) => {
  const manifest = fileManifest(TEXT, { kind: 'ConfigMap', name, key: name })
  expect(parse(manifest, { version: '1.1' })).toMatchObject({ metadata: { name }, data: { [name]: TEXT } })
})

test.each([
  [{ name: 'Users' }, 'name of an object'],
  [{ name: '' }, 'name of an object'],
  [{ name: 'a..b' }, 'name of an object'],
  [{ name: 'a\nb' }, 'name of an object'],
  [{ name: 'a', namespace: 'a.b' }, 'namespace'],
  [{ name: 'a', key: 'a/b' }, 'key'],
  [{ name: 'a', key: '..' }, 'key'],
])('rejects the options %j', (options, message) => {
  expect(() => fileManifest(TEXT, { kind: 'ConfigMap', ...options })).toThrow(message)
})

test('a file above the size limit of Kubernetes is rejected', () => {
  const text = 'a'.repeat(1024 * 1024 + 1)
  expect(() => fileManifest(text, { kind: 'Secret', name: 'a' })).toThrow('larger than')
})
