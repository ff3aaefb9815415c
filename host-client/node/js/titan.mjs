// SPDX-License-Identifier: MIT
import titan from './titan.cjs';

export const { TitanClient } = titan;
export default titan;
