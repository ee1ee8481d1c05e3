// Compares the two forms of a tensor in a gRPC message: typed contents and raw contents.
import { CONTENTS_LISTS, hasContents, rawOf, toContents, TYPED_ARRAYS, viewOf } from '@inferwire/protocol'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { toRaw } from './contents.ts'

test.each(Object.keys(CONTENTS_LISTS).filter(hasContents))(
  'the typed contents of %s values have the same bytes as the values',
  (datatype) => {
    if (datatype === 'BYTES') {
      fc.assert(
        fc.property(fc.array(fc.string({ unit: 'grapheme' })), (texts) => {
          expect(toRaw('x', datatype, toContents(datatype, texts))).toEqual(rawOf(texts))
        }),
      )
      return
    }
    const Values = TYPED_ARRAYS[datatype] as typeof Float64Array
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const whole = bytes.slice(0, bytes.length - (bytes.length % Values.BYTES_PER_ELEMENT))
        const data = viewOf(whole, Values)
        // BOOL is 0 or 1. A conversion may change the bits of NaN.
        const values = data.map((value) =>
          datatype === 'BOOL' ? value & 1 : Number.isNaN(value) ? 0 : value,
        )
        expect(toRaw('x', datatype, toContents(datatype, values))).toEqual(rawOf(values))
      }),
    )
  },
)
