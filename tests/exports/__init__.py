# SPDX-License-Identifier: Apache-2.0
"""Other exports of the same model, made by rewriting the int8 one: what users bring, without fetching it."""
