// Compares what the connector reads from a request, what the model server reads, and what the client has written.
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { DATATYPES, isHalf, TYPED_ARRAYS, type Datatype } from './datatype.ts'
import { joinElements } from './elements.ts'
import { readMessage } from './infer-message.ts'
import { rawOf, viewOf } from './raw-tensor.ts'
import type { TensorData } from './tensor.ts'
import type { InputTensor } from './typed-tensor.ts'
import { writeBinaryCall, writeJsonCall } from './v2-body.ts'
import { readV2Request, type ModelSignature } from './v2-request.ts'

const datatypes = DATATYPES.filter((datatype): datatype is Datatype => !isHalf(datatype))

interface Values {
  readonly datatype: Datatype
  readonly data: TensorData
}

function anyValues(datatype: Datatype): fc.Arbitrary<Values> {
  if (datatype === 'BYTES') {
    return fc.array(fc.string({ unit: 'grapheme' }), { maxLength: 4 }).map((data) => ({ datatype, data }))
  }
  const Values = TYPED_ARRAYS[datatype] as typeof Float64Array
  return fc.uint8Array({ maxLength: 32 }).map((bytes) => {
    const width = Values.BYTES_PER_ELEMENT
    const data = viewOf(bytes.slice(0, bytes.length - (bytes.length % width)), Values)
    // JSON has no NaN and no infinities, and the client writes -0 as 0. BOOL is 0 or 1.
    if (datatype === 'FP32' || datatype === 'FP64')
      return { datatype, data: data.map((value) => (Number.isFinite(value) ? value + 0 : 1)) }
    return { datatype, data: datatype === 'BOOL' ? data.map((value) => value & 1) : data }
  })
}

const anyTensors = fc.array(fc.constantFrom(...datatypes).chain(anyValues), { minLength: 1, maxLength: 3 })

test('the connector and the model server read the tensors that the client has written, in binary and as JSON', () => {
  fc.assert(
    fc.property(anyTensors, (tensors) => {
      const inputs = tensors.map(({ datatype, data }, index): InputTensor => {
        return { name: `x${index}`, datatype, shape: [data.length], data }
      })
      const model: ModelSignature = {
        name: 'm',
        inputs: tensors.map(({ datatype }, index) => ({ name: `x${index}`, datatype })),
        outputs: [{ name: 'y' }],
      }
      for (const { body, jsonLength } of [writeBinaryCall({ inputs }), writeJsonCall({ inputs })]) {
        const message = readMessage(body, jsonLength)
        const request = readV2Request(model, body, jsonLength)
        expect(message.isBinary).toBe(jsonLength !== undefined)
        expect(request.outputs).toEqual([{ name: 'y', isBinary: message.isBinary }])
        for (const [index, { data }] of tensors.entries()) {
          expect(request.inputs[index]!.data).toEqual(data)
          const read = message.inputs[index]!.data
          expect('raw' in read ? read.raw : rawOf(read.values)).toEqual(rawOf(data))
        }
      }
    }),
  )
})

test('bytes that belong to no input are rejected', () => {
  const data = joinElements([])
  const { body, jsonLength } = writeBinaryCall({
    inputs: [{ name: 'x', shape: [0], datatype: 'UINT8', data }],
  })
  const longer = Uint8Array.of(...body, 7)
  const model: ModelSignature = { name: 'm', inputs: [{ name: 'x', datatype: 'UINT8' }], outputs: [] }
  const message = '1 bytes after the last tensor do not belong to any input'
  expect(() => readMessage(longer, jsonLength)).toThrow(message)
  expect(() => readV2Request(model, longer, jsonLength)).toThrow(message)
})
