// Formats the outputs of a binary V2 reply as a V2 response in JSON.
import { toFloat32, type OutputTensor, type TensorReply } from '@inferwire/client'
import { writeJson } from '@inferwire/protocol'

/** Returns the JSON body that the model server would have sent. NaN and infinities are null, as KServe writes them. */
export function tensorsToJson({ modelName, modelVersion, outputs }: TensorReply): string {
  return writeJson({
    model_name: modelName,
    model_version: modelVersion,
    outputs: outputs.map((output) => ({
      name: output.name,
      datatype: output.datatype,
      shape: output.shape,
      data: valuesOf(output),
    })),
  })
}

function valuesOf(output: OutputTensor): unknown {
  const { datatype, data } = output
  if (datatype === 'BOOL') return Array.from(data, Boolean)
  if (datatype === 'FP64') return finite(data)
  if (datatype === 'FP16' || datatype === 'BF16' || datatype === 'FP32') return finite(toFloat32(output))
  if (datatype !== 'BYTES') return data
  return Array.from<string | Uint8Array, string>(data, (element) =>
    typeof element === 'string' ? element : Buffer.from(element).toString('base64'),
  )
}

// A 32-bit float is written with just enough digits to identify it, as in other tools: 0.1 instead of
// 0.10000000149011612.
function finite(values: Float32Array | Float64Array): (number | null)[] {
  const shorten = values instanceof Float32Array ? shortest : (value: number) => value
  return Array.from(values, (value) => (Number.isFinite(value) ? shorten(value) : null))
}

function shortest(value: number): number {
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits))
    if (Math.fround(short) === value) return short
  }
  return value
}
