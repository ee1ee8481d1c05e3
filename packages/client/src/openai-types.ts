// The objects of the OpenAI-compatible API. Servers add members of their own.

/** One part of a multi-part message, for example text or an image. */
export interface ContentPart {
  readonly type: string
  readonly text?: string
  readonly [member: string]: unknown
}

/** A function call that the model requests. */
export interface ToolCall {
  readonly id: string
  readonly type: string
  readonly function: { readonly name: string; readonly arguments: string }
}

/** One message of a chat. */
export interface ChatMessage {
  readonly role: string
  readonly content: string | readonly ContentPart[] | null
  readonly name?: string
  readonly tool_calls?: readonly ToolCall[]
  readonly tool_call_id?: string
  readonly [member: string]: unknown
}

/** Parameters that chat and text completions share. Other members are sent unchanged. */
interface GenerationRequest {
  /** @default the model of the call */
  readonly model?: string
  readonly stream?: boolean | null
  readonly stream_options?: { readonly include_usage?: boolean } | null
  readonly max_tokens?: number | null
  readonly temperature?: number | null
  readonly top_p?: number | null
  readonly n?: number | null
  readonly stop?: string | readonly string[] | null
  readonly seed?: number | null
  readonly presence_penalty?: number | null
  readonly frequency_penalty?: number | null
  readonly user?: string
  readonly [member: string]: unknown
}

/** The body of a chat request. */
export interface ChatRequest extends GenerationRequest {
  readonly messages: readonly ChatMessage[]
  readonly max_completion_tokens?: number | null
}

/** The body of a text completion request. */
export interface CompletionRequest extends GenerationRequest {
  readonly prompt: string | readonly string[] | readonly number[] | readonly (readonly number[])[]
}

/** The body of an embeddings request. */
export interface EmbeddingsRequest {
  readonly input: EmbeddingsInput
  /** @default the model of the call */
  readonly model?: string
  readonly dimensions?: number
  readonly encoding_format?: 'float' | 'base64'
  readonly user?: string
  readonly [member: string]: unknown
}

/** One or more texts, or the tokens of one or more texts. */
export type EmbeddingsInput = string | readonly string[] | readonly number[] | readonly (readonly number[])[]

/** The token counts in an answer's body. */
export interface CompletionUsage {
  readonly prompt_tokens: number
  readonly completion_tokens: number
  readonly total_tokens: number
}

/** Why a choice ended: `stop`, `length`, `tool_calls`, `content_filter` or a server's own value. */
export type FinishReason = 'stop' | 'length' | 'tool_calls' | 'content_filter' | (string & {})

/** A whole answer to a chat. */
export interface ChatCompletion {
  readonly id: string
  readonly object: 'chat.completion'
  readonly created: number
  readonly model: string
  readonly choices: readonly {
    readonly index: number
    readonly message: {
      readonly role: string
      readonly content: string | null
      readonly refusal?: string | null
      readonly tool_calls?: readonly ToolCall[]
    }
    readonly finish_reason: FinishReason | null
    readonly logprobs?: unknown
  }[]
  readonly usage?: CompletionUsage | null
}

/** One part of a streamed answer to a chat. */
export interface ChatCompletionChunk {
  readonly id: string
  readonly object: 'chat.completion.chunk'
  readonly created: number
  readonly model: string
  readonly choices: readonly {
    readonly index: number
    readonly delta: {
      readonly role?: string
      readonly content?: string | null
      readonly tool_calls?: readonly {
        readonly index: number
        readonly id?: string
        readonly type?: string
        readonly function?: { readonly name?: string; readonly arguments?: string }
      }[]
    }
    readonly finish_reason: FinishReason | null
    readonly logprobs?: unknown
  }[]
  readonly usage?: CompletionUsage | null
}

/** A whole text completion, or one part of a streamed text completion. */
export interface Completion {
  readonly id: string
  readonly object: 'text_completion'
  readonly created: number
  readonly model: string
  readonly choices: readonly {
    readonly index: number
    readonly text: string
    readonly finish_reason: FinishReason | null
    readonly logprobs?: unknown
  }[]
  readonly usage?: CompletionUsage | null
}

/** The answer to an embeddings request. */
export interface EmbeddingsResponse {
  readonly object: 'list'
  readonly model: string
  readonly data: readonly {
    readonly object: 'embedding'
    readonly index: number
    /** Base64 text if the request has `encoding_format: 'base64'`. */
    readonly embedding: readonly number[] | string
  }[]
  readonly usage?: { readonly prompt_tokens: number; readonly total_tokens: number } | null
}
