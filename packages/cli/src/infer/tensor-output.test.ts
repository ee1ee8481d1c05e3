import { toFloat16, type OutputTensor, type TensorReply } from '@inferwire/client'
import { expect, test } from 'vitest'
import { tensorsToJson } from './tensor-output.ts'

function jsonOf(datatype: string, data: unknown): string {
  const outputs = [{ name: 'y', datatype, shape: [2], data } as unknown as OutputTensor]
  const text = tensorsToJson({ modelName: 'm', modelVersion: undefined, outputs } as unknown as TensorReply)
  return /"data":(.*)\}\]\}$/.exec(text)![1]!
}

test.each([
  ['INT64', BigInt64Array.of(9007199254740993n, -1n), '[9007199254740993,-1]'],
  ['UINT8', Uint8Array.of(1, 255), '[1,255]'],
  ['BOOL', Uint8Array.of(1, 0), '[true,false]'],
  ['FP32', Float32Array.of(0.1, 1e-8), '[0.1,1e-8]'],
  ['FP32', Float32Array.of(Math.fround(1 / 3), 16777217), '[0.33333334,16777216]'],
  ['FP32', Float32Array.of(NaN, -Infinity), '[null,null]'],
  ['FP64', Float64Array.of(0.1, 1 / 3), '[0.1,0.3333333333333333]'],
  ['FP16', toFloat16([1.5, -2]), '[1.5,-2]'],
  ['BF16', Uint16Array.of(0x3fc0, 0xc000), '[1.5,-2]'],
  ['BYTES', ['ä', ''], '["ä",""]'],
  ['BYTES', [Uint8Array.of(0xff), Uint8Array.of()], '["/w==",""]'],
])('writes %s values that read back as the same values', (datatype, data, json) => {
  expect(jsonOf(datatype, data)).toBe(json)
})

test('writes outputs as a V2 response', () => {
  const outputs = [{ name: 'y', datatype: 'INT32', shape: [1], data: Int32Array.of(7) }]
  const reply = { modelName: 'm', modelVersion: '2', outputs } as unknown as TensorReply
  expect(JSON.parse(tensorsToJson(reply))).toEqual({
    model_name: 'm',
    model_version: '2',
    outputs: [{ name: 'y', datatype: 'INT32', shape: [1], data: [7] }],
  })
})
